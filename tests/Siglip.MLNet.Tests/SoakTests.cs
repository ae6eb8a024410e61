using System.Diagnostics;
using Microsoft.ML;
using Siglip.Core;
using SkiaSharp;
using TorchSharp;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

[TestClass]
[DoNotParallelize] // measures the memory of the process
public sealed class SoakTests
{
    private readonly MLContext _mlContext = new(seed: 1);

    public TestContext TestContext { get; set; } = null!;

    [TestMethod]
    public void A_hundred_thousand_predictions_leave_memory_and_tensors_as_they_were()
    {
        const int Predictions = 100_000;
        string folder = SaveCheckpoint("soak", new SiglipVisionConfig
        {
            HiddenSize = 8,
            IntermediateSize = 8,
            NumHiddenLayers = 1,
            NumAttentionHeads = 1,
            ImageSize = 8,
            PatchSize = 4,
            VisionUseHead = false,
        }, seed: 5);
        byte[][] images = [.. Enumerable.Range(0, 10).Select(i => File.ReadAllBytes(
            SaveImage($"soak-{i}.png", 8, 8, (x, y) => new SKColor((byte)(20 * i), (byte)(30 * x), (byte)(30 * y)))))];
        using var model = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Bytes", folder, SiglipOutputKind.MeanPatchEmbedding)
            .Fit(Data(_mlContext));
        using var engine = _mlContext.Model.CreatePredictionEngine<Row, Prediction>(model, new PredictionEngineOptions { OwnsTransformer = false });
        var row = new Row();
        var prediction = new Prediction();
        float[][] expected = [.. images.Select(Predict)];
        Run(Predictions / 10);
        (long tensors, double managed, double resident) before = Measure();

        Run(Predictions);

        (long tensors, double managed, double resident) after = Measure();
        TestContext.WriteLine($"Before {before}, after {after} (tensors, MB managed, MB resident).");
        Assert.AreEqual(before.tensors, after.tensors);
        Assert.IsLessThan(before.managed + 2, after.managed); // 20 bytes a prediction would be 2 MB
        Assert.IsLessThan(before.resident + 40, after.resident);

        float[] Predict(byte[] bytes)
        {
            row.Bytes = bytes;
            engine.Predict(row, ref prediction);
            return [.. prediction.Embedding];
        }

        void Run(int count)
        {
            for (int i = 0; i < count; i++)
            {
                row.Bytes = images[i % images.Length];
                engine.Predict(row, ref prediction);
                if (!prediction.Embedding.AsSpan().SequenceEqual(expected[i % images.Length]))
                    Assert.Fail($"Prediction {i} has other bits than the first of its image.");
            }
        }
    }

    private static (long Tensors, double ManagedMegabytes, double ResidentMegabytes) Measure()
    {
        double managed = GC.GetTotalMemory(forceFullCollection: true) / 1e6;
        using var process = Process.GetCurrentProcess();
        return (DisposeScopeManager.Statistics.ThreadTotalLiveCount, managed, process.WorkingSet64 / 1e6);
    }

    private sealed class Row
    {
        public byte[] Bytes { get; set; } = [];
    }

    private sealed class Prediction
    {
        public float[] Embedding { get; set; } = [];
    }
}
