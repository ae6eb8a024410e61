using Microsoft.ML;
using Microsoft.ML.Data;
using SkiaSharp;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

[TestClass]
public sealed class TrainingTests
{
    private readonly MLContext _mlContext = new(seed: 1);

    [TestMethod]
    public void A_trainer_learns_red_from_blue_and_embeds_each_image_once()
    {
        var random = new Random(1);
        IDataView data = _mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, 40).Select(i => new LabeledRow
        {
            Label = i % 2 == 0 ? "red" : "blue",
            ImagePath = SaveImage($"color-{i}.png", 20, 20, (_, _) =>
            {
                byte strong = (byte)random.Next(150, 256), weak = (byte)random.Next(0, 80);
                return i % 2 == 0 ? new SKColor(strong, weak, weak) : new SKColor(weak, weak, strong);
            }),
        }).ToArray());
        DataOperationsCatalog.TrainTestData split = _mlContext.Data.TrainTestSplit(data, testFraction: 0.3, seed: 1);
        var pipeline = _mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Append(_mlContext.Transforms.SiglipFeaturizeImage("Features", "ImagePath", Checkpoint, SiglipOutputKind.MeanPatchEmbedding))
            .AppendCacheCheckpoint(_mlContext)
            .Append(_mlContext.MulticlassClassification.Trainers.LbfgsMaximumEntropy(l1Regularization: 0, l2Regularization: 0.01f))
            .Append(_mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel"));
        using var model = pipeline.Fit(split.TrainSet);

        var featurizer = model.OfType<SiglipImageFeaturizingTransformer>().Single();
        int trainRows = split.TrainSet.GetColumn<string>("Label").Count();
        Assert.AreEqual((trainRows + 15) / 16, featurizer.ForwardPasses);
        IDataView predictions = model.Transform(split.TestSet);
        Assert.AreEqual(1, _mlContext.MulticlassClassification.Evaluate(predictions).MacroAccuracy);

        using var loaded = (IDisposable)EstimatorWorkout.SaveAndLoad(_mlContext, model, data.Schema);
        CollectionAssert.AreEqual(
            predictions.GetColumn<string>("PredictedLabel").ToArray(),
            ((ITransformer)loaded).Transform(split.TestSet).GetColumn<string>("PredictedLabel").ToArray());
    }

    private sealed class LabeledRow
    {
        public string Label { get; set; } = "";

        public string ImagePath { get; set; } = "";
    }
}
