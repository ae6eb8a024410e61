using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;
using SkiaSharp;
using TorchSharp;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

/// <summary>A model with variable resolution: images have different numbers of patches.</summary>
[TestClass]
public sealed class NaFlexTests
{
    private const int MostPatches = 22;
    private const int HiddenSize = 32;
    private const float ReferenceTolerance = 2e-5f; // of the patches; see Reference/tolerances.json of Siglip.Core's tests

    private readonly MLContext _mlContext = new(seed: 1);

    private static SiglipImageFeaturizingOptions AllKinds => Options("Path", ("Patches", SiglipOutputKind.PatchEmbeddings),
        ("Pooled", SiglipOutputKind.PooledEmbedding), ("Mean", SiglipOutputKind.MeanPatchEmbedding), ("PatchCount", SiglipOutputKind.PatchCount),
        ("PatchGrid", SiglipOutputKind.PatchGrid)) with
    { Model = NaFlex, BatchSize = 3 };

    [TestMethod]
    public void Columns_hold_the_numbers_of_transformers_and_zeros_after_an_images_patches()
    {
        using SafetensorsFile inputs = SafetensorsFile.Open(Path.Combine(NaFlex, "expected.safetensors"));
        using SafetensorsFile results = SafetensorsFile.Open(Path.Combine(NaFlex, "expected_fp64.safetensors"));
        float[] last = Read(results, "last_hidden_state"), pooled = Read(results, "pooler_output"), shapes = Read(inputs, "spatial_shapes");
        IDataView data = Data(_mlContext, NaFlexImages);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(AllKinds).Fit(data);
        IDataView transformed = model.Transform(data);
        float[][] patches = Vectors(transformed, "Patches"), mean = Vectors(transformed, "Mean"), grids = Vectors(transformed, "PatchGrid");
        float[] counts = [.. transformed.GetColumn<float>("PatchCount")];

        AreClose([.. pooled.Chunk(HiddenSize)], Vectors(transformed, "Pooled"), 9e-6f);
        for (int i = 0; i < NaFlexImages.Count; i++)
        {
            CollectionAssert.AreEqual(shapes[(2 * i)..(2 * i + 2)], grids[i]);
            Assert.AreEqual(grids[i][0] * grids[i][1], counts[i]);
            int length = (int)counts[i] * HiddenSize;
            Assert.HasCount(MostPatches * HiddenSize, patches[i]);
            AreClose([last.AsSpan(i * MostPatches * HiddenSize, length).ToArray()], [patches[i][..length]], ReferenceTolerance);
            Assert.AreEqual(-1, patches[i].AsSpan(length).IndexOfAnyExcept(0f), "padding");
            AreClose([[.. Enumerable.Range(0, HiddenSize).Select(h => Enumerable.Range(0, (int)counts[i]).Average(p => patches[i][p * HiddenSize + h]))]], [mean[i]]);
        }

        Assert.IsGreaterThan(1, counts.Distinct().Count(), "the images differ in their number of patches");
    }

    [TestMethod]
    public void The_schema_promised_is_the_schema_delivered()
    {
        IDataView data = Data(_mlContext, NaFlexImages);
        var estimator = _mlContext.Transforms.SiglipFeaturizeImage(AllKinds with { MaxNumPatches = 40 });
        using var model = estimator.Fit(data);
        IDataView transformed = model.Transform(data);
        var expected = new Dictionary<string, DataViewType>
        {
            ["Patches"] = new VectorDataViewType(NumberDataViewType.Single, 40, HiddenSize),
            ["Pooled"] = new VectorDataViewType(NumberDataViewType.Single, HiddenSize),
            ["Mean"] = new VectorDataViewType(NumberDataViewType.Single, HiddenSize),
            ["PatchCount"] = NumberDataViewType.Single,
            ["PatchGrid"] = new VectorDataViewType(NumberDataViewType.Single, 2),
        };

        SchemaShape promised = estimator.GetOutputSchema(EstimatorWorkout.ShapeOf(data.Schema));
        DataViewSchema announced = model.GetOutputSchema(data.Schema);
        using DataViewRowCursor cursor = transformed.GetRowCursor(transformed.Schema);
        Assert.IsTrue(cursor.MoveNext());
        foreach ((string name, DataViewType type) in expected)
        {
            SchemaShape.Column column = promised.Single(column => column.Name == name);
            Assert.AreEqual(type is VectorDataViewType ? SchemaShape.Column.VectorKind.Vector : SchemaShape.Column.VectorKind.Scalar, column.Kind, name);
            Assert.AreEqual(NumberDataViewType.Single, column.ItemType, name);
            Assert.AreEqual(type, announced[name].Type, name);
            Assert.AreEqual(type, transformed.Schema[name].Type, name);
            Assert.HasCount((type as VectorDataViewType)?.Size ?? 1, EstimatorWorkout.ReadVector(cursor, transformed.Schema[name]), name);
        }
    }

    [TestMethod]
    public void A_missing_image_is_NaN_in_every_kind_and_leaves_the_others_alone()
    {
        IDataView all = Data(_mlContext, [NaFlexImages[0], "no-such-file.png", NaFlexImages[1]]), good = Data(_mlContext, [NaFlexImages[0], NaFlexImages[1]]);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(AllKinds with { BadImages = BadImageHandling.Missing }).Fit(all);

        float[][][] expected = Rows(model.Transform(good)), found = Rows(model.Transform(all));
        for (int kind = 0; kind < 5; kind++)
        {
            Assert.IsTrue(found[1][kind].All(float.IsNaN), $"kind {kind}");
            Assert.HasCount(found[0][kind].Length, found[1][kind]);
            AreClose([expected[0][kind], expected[1][kind]], [found[0][kind], found[2][kind]]);
        }

        using var throwing = _mlContext.Transforms.SiglipFeaturizeImage(AllKinds).Fit(all);
        foreach (string column in (string[])["PatchCount", "PatchGrid", "Patches"])
        {
            IDataView view = throwing.Transform(all);
            using DataViewRowCursor cursor = view.GetRowCursor([view.Schema[column]]);
            Assert.IsTrue(cursor.MoveNext());
            EstimatorWorkout.ReadVector(cursor, view.Schema[column]);
            Assert.IsTrue(cursor.MoveNext());
            StringAssert.Contains(Assert.ThrowsExactly<FileNotFoundException>(() => EstimatorWorkout.ReadVector(cursor, view.Schema[column])).Message, "Row 1, column 'Path'");
        }
    }

    [TestMethod]
    public void Numbers_of_patches_alone_cost_no_forward_pass_and_no_warning()
    {
        var warnings = new List<string>();
        _mlContext.Log += (_, entry) =>
        {
            if (entry.Message.Contains("embedded a second time", StringComparison.Ordinal))
                warnings.Add(entry.Message);
        };
        IDataView data = Data(_mlContext, NaFlexImages);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(AllKinds).Fit(data);
        IDataView transformed = model.Transform(data);

        CollectionAssert.AreEqual(transformed.GetColumn<float>("PatchCount").ToArray(), Vectors(transformed, "PatchGrid").Select(grid => grid[0] * grid[1]).ToArray());
        Assert.AreEqual(0, model.ForwardPasses);
        Vectors(transformed, "Pooled");
        Assert.AreEqual(2, model.ForwardPasses); // of three images and one
        Assert.IsEmpty(warnings);
        Vectors(transformed, "Pooled");
        Assert.HasCount(1, warnings);
    }

    [TestMethod]
    public void Rows_can_be_filtered_by_their_number_of_patches()
    {
        IDataView data = Data(_mlContext, NaFlexImages);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(AllKinds).Fit(data);
        IDataView transformed = model.Transform(data);
        float[] counts = [.. transformed.GetColumn<float>("PatchCount")];
        double bound = counts.Order().ElementAt(1) + 0.5;

        IDataView many = _mlContext.Data.FilterRowsByColumn(transformed, "PatchCount", lowerBound: bound);

        CollectionAssert.AreEqual(counts.Where(count => count > bound).ToArray(), many.GetColumn<float>("PatchCount").ToArray());
        Assert.HasCount(counts.Count(count => count > bound), Vectors(many, "Patches"));
    }

    [TestMethod]
    public void A_trainer_takes_the_patches_together_with_their_number()
    {
        var random = new Random(1);
        IDataView data = _mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, 24).Select(i => new LabeledRow
        {
            Label = i % 2 == 0 ? "red" : "blue",
            Path = SaveImage($"naflex-{i}.png", 20 + (3 * i), 30, (_, _) =>
            {
                byte strong = (byte)random.Next(150, 256), weak = (byte)random.Next(0, 80);
                return i % 2 == 0 ? new SKColor(strong, weak, weak) : new SKColor(weak, weak, strong);
            }),
        }).ToArray());
        var pipeline = _mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Append(_mlContext.Transforms.SiglipFeaturizeImage(AllKinds))
            .Append(_mlContext.Transforms.Concatenate("Features", "Patches", "PatchCount", "PatchGrid"))
            .AppendCacheCheckpoint(_mlContext)
            .Append(_mlContext.MulticlassClassification.Trainers.LbfgsMaximumEntropy(l1Regularization: 0, l2Regularization: 0.01f));
        using var model = pipeline.Fit(data);
        IDataView predictions = model.Transform(data);

        Assert.AreEqual(new VectorDataViewType(NumberDataViewType.Single, (MostPatches * HiddenSize) + 3), predictions.Schema["Features"].Type);
        Assert.AreEqual(1, _mlContext.MulticlassClassification.Evaluate(predictions).MacroAccuracy);
    }

    [TestMethod]
    public void A_loaded_model_has_its_options_and_gives_the_same_bits()
    {
        IDataView data = Data(_mlContext, NaFlexImages);
        foreach (bool embedWeights in (bool[])[true, false])
        {
            using var model = _mlContext.Transforms.SiglipFeaturizeImage(AllKinds with { MaxNumPatches = 9, EmbedWeights = embedWeights }).Fit(data);
            using var loaded = (SiglipImageFeaturizingTransformer)EstimatorWorkout.SaveAndLoad(_mlContext, model, data.Schema);
            using var again = (SiglipImageFeaturizingTransformer)EstimatorWorkout.SaveAndLoad(_mlContext, loaded, data.Schema);

            Assert.AreEqual(9, again.Settings.MaxNumPatches);
            float[][][] expected = Rows(model.Transform(data));
            Assert.HasCount(9 * HiddenSize, expected[0][0]);
            foreach (SiglipImageFeaturizingTransformer other in (SiglipImageFeaturizingTransformer[])[loaded, again])
            {
                float[][][] found = Rows(other.Transform(data));
                for (int row = 0; row < expected.Length; row++)
                    AreSame(expected[row], found[row]);
            }
        }
    }

    [TestMethod]
    public void An_engine_gives_the_bits_of_a_cursor_with_batch_size_one()
    {
        IDataView data = Data(_mlContext, NaFlexImages);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(AllKinds with { BatchSize = 1 }).Fit(data);
        float[][][] expected = Rows(model.Transform(data));
        using var engine = _mlContext.Model.CreatePredictionEngine<ImageRow, Prediction>(model, new PredictionEngineOptions { OwnsTransformer = false });
        for (int i = 0; i < NaFlexImages.Count; i++)
        {
            Prediction prediction = engine.Predict(new ImageRow { Path = NaFlexImages[i] });
            AreSame(expected[i], [prediction.Patches, prediction.Pooled, prediction.Mean, [prediction.PatchCount], prediction.PatchGrid]);
        }
    }

    [TestMethod]
    public void Normalized_patches_have_length_one_and_padding_stays_zero()
    {
        IDataView data = Data(_mlContext, NaFlexImages);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(AllKinds with { Normalize = true }).Fit(data);
        foreach (float[][] row in Rows(model.Transform(data)))
        {
            float[][] patches = [.. row[0].Chunk(HiddenSize)];
            for (int i = 0; i < patches.Length; i++)
                Assert.AreEqual(i < row[3][0] ? 1 : 0, patches[i].Sum(value => value * value), 1e-5f, $"patch {i}");
        }
    }

    /// <summary>[row][kind][value]</summary>
    private static float[][][] Rows(IDataView transformed)
    {
        DataViewSchema.Column[] columns = [.. ((string[])["Patches", "Pooled", "Mean", "PatchCount", "PatchGrid"]).Select(name => transformed.Schema[name])];
        var rows = new List<float[][]>();
        using DataViewRowCursor cursor = transformed.GetRowCursor(columns);
        while (cursor.MoveNext())
            rows.Add([.. columns.Select(column => EstimatorWorkout.ReadVector(cursor, column))]);
        return [.. rows];
    }

    private static float[] Read(SafetensorsFile file, string name)
    {
        TorchNative.Ensure();
        using DisposeScope scope = torch.NewDisposeScope();
        return file.Read(name).to(torch.float32).data<float>().ToArray();
    }

    private sealed class LabeledRow
    {
        public string Label { get; set; } = "";

        public string Path { get; set; } = "";
    }

    private sealed class Prediction
    {
        public float[] Patches { get; set; } = [];

        public float[] Pooled { get; set; } = [];

        public float[] Mean { get; set; } = [];

        public float PatchCount { get; set; }

        public float[] PatchGrid { get; set; } = [];
    }
}
