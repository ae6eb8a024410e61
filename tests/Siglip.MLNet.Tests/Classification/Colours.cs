using Microsoft.ML;
using Siglip.Core;
using SkiaSharp;

namespace Siglip.MLNet.Tests;

/// <summary>Images of two classes that any model learns to tell apart, and short trainings.</summary>
internal static class Colours
{
    private static readonly Lazy<ColourRow[]> All = new(() =>
    {
        var random = new Random(1);
        return [.. Enumerable.Range(0, 24).Select(i =>
        {
            bool isRed = i % 2 == 0;
            string path = TestModel.SaveImage($"colour-{i}.png", 20, 20, (_, _) =>
            {
                byte strong = (byte)random.Next(150, 256), weak = (byte)random.Next(0, 80);
                return isRed ? new SKColor(strong, weak, weak) : new SKColor(weak, weak, strong);
            });
            return new ColourRow { Path = path, Bytes = File.ReadAllBytes(path), Class = isRed ? "red" : "blue", Number = isRed ? 7 : 9 };
        })];
    });

    /// <summary>24 rows, the classes in turn.</summary>
    public static IReadOnlyList<ColourRow> Rows => All.Value;

    /// <summary>Enough for these images: a few steps from random weights.</summary>
    public static SiglipImageClassificationOptions Options { get; } = new()
    {
        Model = TestModel.Checkpoint,
        Training = new SiglipTrainingOptions { Epochs = 4, BatchSize = 8, LearningRate = 0.01, Augmentation = SiglipAugmentationOptions.None },
    };

    /// <summary>As short as a training can be.</summary>
    public static SiglipImageClassificationOptions OneStep { get; } = Options with { Training = Options.Training with { Epochs = 1, BatchSize = 24, WarmUpSteps = 0 } };

    public static IDataView Load(MLContext mlContext, IEnumerable<ColourRow>? rows = null) => mlContext.Data.LoadFromEnumerable(rows ?? Rows);

    /// <summary>With a column <c>Label</c> of keys.</summary>
    public static IDataView Keyed(MLContext mlContext, IEnumerable<ColourRow>? rows = null, string from = "Class")
    {
        IDataView data = Load(mlContext, rows);
        return mlContext.Transforms.Conversion.MapValueToKey("Label", from).Fit(data).Transform(data);
    }

    public static SiglipImageClassificationTrainer Trainer(MLContext mlContext, SiglipImageClassificationOptions? options = null, string image = "Path") =>
        mlContext.MulticlassClassification.Trainers.SiglipImageClassification("Label", image, options ?? OneStep);
}

internal sealed class ColourRow
{
    public string Path { get; set; } = "";

    public byte[] Bytes { get; set; } = [];

    public string Class { get; set; } = "";

    public int Number { get; set; }
}

internal sealed class ColourPrediction
{
    public string PredictedLabel { get; set; } = "";

    public float[] Score { get; set; } = [];
}
