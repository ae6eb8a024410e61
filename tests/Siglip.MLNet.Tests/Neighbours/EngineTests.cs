using Microsoft.Extensions.ObjectPool;
using Microsoft.ML;
using Microsoft.ML.Data;
using static Siglip.MLNet.Tests.Neighbours.Neighbourhood;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests.Neighbours;

/// <summary>Prediction engines over a trained pipeline: one, many, and a pool as a server has it.</summary>
[TestClass]
public sealed class EngineTests
{
    private const int Threads = 32;

    private readonly MLContext _mlContext = new(seed: 1);

    [TestMethod]
    [DataRow("LbfgsMaximumEntropy")]
    [DataRow("LightGbm")]
    public void PredictionEngine_of_a_saved_classifier(string trainer)
    {
        string path = Save(trainer, "Path");
        ITransformer model = _mlContext.Model.Load(path, out DataViewSchema schema);
        using var engine = _mlContext.Model.CreatePredictionEngine<ColoredImage, Prediction>(model, schema);
        IDataView test = ColoredImage.View(_mlContext, ColoredImage.Test);
        float[][] scores = Values(model.Transform(test), "Score");

        Prediction[] predictions = [.. ColoredImage.Test.Select(engine.Predict)];
        CollectionAssert.AreEqual(ColoredImage.Test.Select(image => image.Color).ToArray(), predictions.Select(prediction => prediction.PredictedColor).ToArray());
        AreClose(scores, [.. predictions.Select(prediction => prediction.Score)], 1e-4f);
        AreClose(Expected(SiglipOutputKind.MeanPatchEmbedding, ColoredImage.Test.Select(image => image.Path)), [.. predictions.Select(prediction => prediction.Features)]);
    }

    [TestMethod]
    [DataRow("Path", "LbfgsMaximumEntropy", 64)]
    [DataRow("Bytes", "LbfgsMaximumEntropy", 64)]
    [DataRow("Path", "LightGbm", 4)] // fewer than threads: the pool disposes engines, and must not dispose the model
    public void A_pool_of_engines_under_32_threads_gives_the_bits_of_one_thread(string input, string trainer, int retained)
    {
        string path = Save(trainer, input);
        ITransformer model = _mlContext.Model.Load(path, out _);
        using var owner = (IDisposable)model;
        using var single = new Engines(_mlContext, model).Create();
        Prediction[] expected = [.. ColoredImage.Test.Select(image => Copy(single.Predict(image)))];
        ObjectPool<PredictionEngine<ColoredImage, Prediction>> pool = new DefaultObjectPoolProvider { MaximumRetained = retained }.Create(new Engines(_mlContext, model));
        using var pooled = (IDisposable)pool;

        var failures = new List<Exception>();
        using var start = new Barrier(Threads);
        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(thread => new Thread(() =>
        {
            try
            {
                start.SignalAndWait();
                for (int i = 0; i < expected.Length; i++)
                {
                    int image = (i + thread) % expected.Length;
                    PredictionEngine<ColoredImage, Prediction> engine = pool.Get();
                    Prediction found = Copy(engine.Predict(ColoredImage.Test[image]));
                    pool.Return(engine);
                    Assert.AreEqual(expected[image].PredictedColor, found.PredictedColor);
                    AreSame([expected[image].Score, expected[image].Features], [found.Score, found.Features]);
                }
            }
            catch (Exception exception)
            {
                lock (failures)
                    failures.Add(exception);
            }
        }))];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            thread.Join();

        Assert.IsEmpty(failures, failures.FirstOrDefault()?.ToString());
        Assert.AreEqual((Threads + 1) * expected.Length, FeaturizerOf(model).ForwardPasses, "one pass a prediction");
    }

    [TestMethod]
    public void An_engine_that_a_pool_has_no_room_for_takes_the_model_along_unless_told_otherwise()
    {
        foreach (bool owns in (bool[])[true, false]) // true is ML.NET's default
        {
            ITransformer model = _mlContext.Model.Load(Save("LbfgsMaximumEntropy", "Path"), out _);
            using var owner = (IDisposable)model;
            var pool = new DefaultObjectPoolProvider { MaximumRetained = 1 }.Create(new Engines(_mlContext, model, owns));
            PredictionEngine<ColoredImage, Prediction> first = pool.Get(), second = pool.Get();
            pool.Return(first);
            pool.Return(second); // disposed

            PredictionEngine<ColoredImage, Prediction> again = pool.Get();
            if (owns)
                Assert.ThrowsExactly<ObjectDisposedException>(() => again.Predict(ColoredImage.Test[0]));
            else
                Assert.AreEqual(ColoredImage.Test[0].Color, again.Predict(ColoredImage.Test[0]).PredictedColor);
        }
    }

    private static Prediction Copy(Prediction prediction) =>
        new() { PredictedColor = prediction.PredictedColor, Score = [.. prediction.Score], Features = [.. prediction.Features] };

    private string Save(string trainer, string input)
    {
        IDataView train = ColoredImage.View(_mlContext, ColoredImage.Train);
        using var model = _mlContext.Transforms.Conversion.MapValueToKey("Label", "Color")
            .Append(_mlContext.Transforms.SiglipFeaturizeImage(Options(input, ("Features", SiglipOutputKind.MeanPatchEmbedding))))
            .AppendCacheCheckpoint(_mlContext)
            .Append(NamedTrainer.Multiclass(_mlContext, trainer))
            .Append(_mlContext.Transforms.Conversion.MapKeyToValue("PredictedColor", "PredictedLabel")).Fit(train);
        string path = NewPath($"{Guid.NewGuid():N}.zip");
        _mlContext.Model.Save(model, train.Schema, path);
        return path;
    }

    /// <summary>What makes engines for a pool.</summary>
    private sealed class Engines(MLContext mlContext, ITransformer model, bool ownsTransformer = false) : PooledObjectPolicy<PredictionEngine<ColoredImage, Prediction>>
    {
        public override PredictionEngine<ColoredImage, Prediction> Create() =>
            mlContext.Model.CreatePredictionEngine<ColoredImage, Prediction>(model, new PredictionEngineOptions { OwnsTransformer = ownsTransformer });

        public override bool Return(PredictionEngine<ColoredImage, Prediction> obj) => true;
    }

    private sealed class Prediction
    {
        public string PredictedColor { get; set; } = "";

        public float[] Score { get; set; } = [];

        public float[] Features { get; set; } = [];
    }
}
