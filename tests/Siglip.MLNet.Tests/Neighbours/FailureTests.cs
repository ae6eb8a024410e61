using Microsoft.ML;
using Microsoft.ML.Data;
using static Siglip.MLNet.Tests.Neighbours.Neighbourhood;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests.Neighbours;

/// <summary>A bad image in the midst of what ML.NET does on threads of its own, and views that are left in the middle.</summary>
[TestClass]
public sealed class FailureTests
{
    private readonly MLContext _mlContext = new(seed: 1);

    [TestMethod]
    [Timeout(60_000, CooperativeCancellation = false)]
    [DataRow("GetColumn")]
    [DataRow("CreateEnumerable")]
    [DataRow("Cache")]
    [DataRow("ShuffleRows")]
    [DataRow("SaveAsBinary")]
    [DataRow("SaveAsText")]
    [DataRow("Preview")]
    [DataRow("NormalizeMinMax")]
    [DataRow("ProjectToPrincipalComponents")]
    [DataRow("Trainer")]
    [DataRow("Trainer after AppendCacheCheckpoint")]
    [DataRow("LightGbm after AppendCacheCheckpoint")]
    [DataRow("CrossValidate")]
    [DataRow("Evaluate")]
    public void A_bad_image_is_named_wherever_it_is_met(string consumer)
    {
        ColoredImage[] rows = [.. ColoredImage.Train];
        rows[20] = new ColoredImage { Path = "no-such-file.png", Color = "red", Group = 1 };
        IDataView images = ColoredImage.View(_mlContext, rows), good = ColoredImage.View(_mlContext, ColoredImage.Train);
        var featurizer = _mlContext.Transforms.Conversion.MapValueToKey("Label", "Color")
            .Append(_mlContext.Transforms.SiglipFeaturizeImage(Options("Path", ("Features", SiglipOutputKind.MeanPatchEmbedding))));
        using var model = featurizer.Fit(images);
        IDataView view = model.Transform(images);
        IEstimator<ITransformer> trainer = NamedTrainer.Multiclass(_mlContext, "LbfgsMaximumEntropy");

        Exception? fault = null;
        try
        {
            switch (consumer)
            {
                case "GetColumn": Vectors(view, "Features"); break;
                case "CreateEnumerable": _ = _mlContext.Data.CreateEnumerable<Features>(view, reuseRowObject: false).Count(); break;
                case "Cache": Vectors(_mlContext.Data.Cache(view), "Features"); break;
                case "ShuffleRows": Vectors(_mlContext.Data.ShuffleRows(view, seed: 1), "Features"); break;
                case "SaveAsBinary": Plain(_mlContext, view); break;
                case "SaveAsText": _mlContext.Data.SaveAsText(view, Stream.Null); break;
                case "Preview": view.Preview(); break;
                case "NormalizeMinMax": _mlContext.Transforms.NormalizeMinMax("Features").Fit(view); break;
                case "ProjectToPrincipalComponents": _mlContext.Transforms.ProjectToPrincipalComponents("Features", rank: 2).Fit(view); break;
                case "Trainer": trainer.Fit(view); break;
                case "Trainer after AppendCacheCheckpoint": featurizer.AppendCacheCheckpoint(_mlContext).Append(trainer).Fit(images); break;
                case "LightGbm after AppendCacheCheckpoint": featurizer.AppendCacheCheckpoint(_mlContext).Append(NamedTrainer.Multiclass(_mlContext, "LightGbm")).Fit(images); break;
                case "CrossValidate": _mlContext.MulticlassClassification.CrossValidate(images, featurizer.Append(trainer), 2); break;
                default: _mlContext.MulticlassClassification.Evaluate(featurizer.Append(trainer).Fit(good).Transform(images)); break;
            }
        }
        catch (Exception exception)
        {
            fault = exception;
        }

        Exception? named = fault;
        while (named is not (null or FileNotFoundException))
            named = named.InnerException;
        Assert.IsNotNull(named, fault?.ToString() ?? "no exception");
        StringAssert.Contains(named.Message, "no-such-file.png");
        StringAssert.Contains(named.Message, "column 'Path'");
    }

    [TestMethod]
    [DataRow("ShuffleRows")]
    [DataRow("NormalizeLpNorm")]
    [DataRow("Cache")]
    public void Rows_left_in_the_middle_do_no_harm_when_the_model_is_disposed(string step)
    {
        IDataView images = ColoredImage.View(_mlContext, ColoredImage.Train);
        var model = _mlContext.Transforms.SiglipFeaturizeImage(Options("Path", ("Features", SiglipOutputKind.MeanPatchEmbedding)) with { BatchSize = 1 }).Fit(images);
        IDataView view = step switch
        {
            "ShuffleRows" => _mlContext.Data.ShuffleRows(model.Transform(images), seed: 1, shufflePoolSize: 4),
            "Cache" => _mlContext.Data.Cache(model.Transform(images)),
            _ => _mlContext.Transforms.NormalizeLpNorm("Features").Fit(model.Transform(images)).Transform(model.Transform(images)),
        };
        Assert.HasCount(Hidden, _mlContext.Data.CreateEnumerable<Features>(view, reuseRowObject: false).First().Values);
        model.Dispose();

        // The threads behind the view meet the disposed model, if they still run, and end; others go on.
        Assert.ThrowsExactly<ObjectDisposedException>(() => model.Transform(images));
        using var other = _mlContext.Transforms.SiglipFeaturizeImage(Options("Path", ("Features", SiglipOutputKind.MeanPatchEmbedding))).Fit(images);
        AreClose(Expected(SiglipOutputKind.MeanPatchEmbedding, ColoredImage.Train.Select(image => image.Path)), Vectors(other.Transform(images), "Features"));
    }

    private sealed class Features
    {
        [ColumnName("Features")]
        public float[] Values { get; set; } = [];
    }
}
