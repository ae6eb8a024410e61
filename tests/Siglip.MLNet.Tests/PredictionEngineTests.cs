using Microsoft.ML;
using Microsoft.ML.Data;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

[TestClass]
public sealed class PredictionEngineTests
{
    private readonly MLContext _mlContext = new(seed: 1);

    [TestMethod]
    [DataRow("Path")]
    [DataRow("Bytes")]
    public void An_engine_gives_the_bits_of_a_cursor_with_batch_size_one(string input)
    {
        IDataView data = Data(_mlContext);
        using var model = Fit(data, input, batchSize: 1);
        IDataView transformed = model.Transform(data);
        using var engine = Engine(model);

        Prediction[] predictions = [.. Images.Select(path => engine.Predict(Row(path)))];

        AreSame(Vectors(transformed, "Patches"), [.. predictions.Select(prediction => prediction.Patches)]);
        AreSame(Vectors(transformed, "Pooled"), [.. predictions.Select(prediction => prediction.Pooled)]);
        CollectionAssert.AreEqual(Images.Select(Path.GetFileName).ToArray(), predictions.Select(prediction => prediction.FileName).ToArray());
    }

    [TestMethod]
    public void An_engine_takes_images_in_memory()
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(Array.Empty<InMemoryRow>());
        using var model = _mlContext.Transforms.SiglipFeaturizeImage("Pooled", "Image", Checkpoint, SiglipOutputKind.PooledEmbedding).Fit(data);
        using var engine = _mlContext.Model.CreatePredictionEngine<InMemoryRow, PooledPrediction>(
            model, new PredictionEngineOptions { OwnsTransformer = false });
        float[][] expected = Expected(SiglipOutputKind.PooledEmbedding);
        for (int i = 0; i < 4; i++)
        {
            using MLImage image = MLImage.CreateFromFile(Images[i]);
            (int width, byte[] pixels) = (image.Width, image.Pixels.ToArray());
            CollectionAssert.AreEqual(expected[i], engine.Predict(new InMemoryRow { Image = image }).Pooled);
            Assert.AreEqual(width, image.Width, "the image is still the caller's");
            Assert.IsTrue(image.Pixels.SequenceEqual(pixels), $"pixels of image {i}");
        }
    }

    [TestMethod]
    public void After_an_image_that_an_earlier_step_cannot_load_the_engine_goes_on()
    {
        IDataView data = Data(_mlContext);
        var options = Options("Image", ("Patches", SiglipOutputKind.PatchEmbeddings), ("Pooled", SiglipOutputKind.PooledEmbedding));
        using var model = _mlContext.Transforms.LoadImages("Image", "", "Path")
            .Append(_mlContext.Transforms.SiglipFeaturizeImage(options with { BadImages = BadImageHandling.Missing })).Fit(data);
        using var engine = Engine(model);
        float[][] expected = Expected(SiglipOutputKind.PooledEmbedding, Images.Take(2));

        AreSame([expected[0]], [engine.Predict(Row(Images[0])).Pooled]);
        Assert.IsTrue(engine.Predict(Row("no-such-file.png")).Pooled.All(float.IsNaN));
        AreSame([expected[1]], [engine.Predict(Row(Images[1])).Pooled]);
    }

    [TestMethod]
    public void All_outputs_of_a_row_share_one_forward_pass()
    {
        IDataView data = Data(_mlContext);
        using var model = Fit(data, "Path", batchSize: 4);
        using var engine = Engine(model);

        engine.Predict(Row(Images[0]));
        engine.Predict(Row(Images[0])); // another row, though an equal one
        Assert.AreEqual(2, model.ForwardPasses);
    }

    [TestMethod]
    public void Only_embeddings_depend_on_the_image_column()
    {
        IDataView data = Data(_mlContext);
        using var model = Fit(data, "Path", batchSize: 4);
        IRowToRowMapper mapper = ((ITransformer)model).GetRowToRowMapper(data.Schema);

        CollectionAssert.AreEqual(new[] { "Name" }, Dependencies("Name"));
        CollectionAssert.AreEqual(new[] { "Path", "Name" }, Dependencies("Name", "Pooled"));
        CollectionAssert.AreEqual(new[] { "Path" }, Dependencies("Patches", "Pooled"));
        CollectionAssert.AreEqual(Array.Empty<string>(), Dependencies());

        string[] Dependencies(params string[] columns) =>
            [.. mapper.GetDependencies(columns.Select(name => mapper.OutputSchema[name])).Select(column => column.Name)];
    }

    [TestMethod]
    public void After_a_bad_row_the_engine_goes_on()
    {
        IDataView data = Data(_mlContext);
        using var model = Fit(data, "Path", batchSize: 4);
        using var engine = Engine(model);

        Assert.ThrowsExactly<FileNotFoundException>(() => engine.Predict(Row("no-such-file.png")));
        AreSame(Expected(SiglipOutputKind.PooledEmbedding, [Images[1]]), [engine.Predict(Row(Images[1])).Pooled]);
    }

    [TestMethod]
    public void A_chain_of_steps_predicts_through_the_engine()
    {
        IDataView data = Data(_mlContext);
        var chain = _mlContext.Transforms.LoadImages("Image", "", "Path")
            .Append(_mlContext.Transforms.SiglipFeaturizeImage("Pooled", "Image", Checkpoint, SiglipOutputKind.PooledEmbedding))
            .Append(_mlContext.Transforms.NormalizeLpNorm("Patches", "Pooled"));
        using var model = chain.Fit(data);
        using var engine = Engine(model);

        Prediction prediction = engine.Predict(Row(Images[2]));
        AreSame(Expected(SiglipOutputKind.PooledEmbedding, [Images[2]]), [prediction.Pooled]);
        AreClose(Expected(SiglipOutputKind.PooledEmbedding, [Images[2]], normalize: true), [prediction.Patches]);
    }

    [TestMethod]
    public void Engines_on_eight_threads_and_a_shared_view_give_the_right_numbers()
    {
        IDataView data = Data(_mlContext);
        using var model = Fit(data, "Path", batchSize: 3);
        IDataView transformed = model.Transform(data);
        float[][] expected = Expected(SiglipOutputKind.PooledEmbedding);

        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 8 }, thread =>
        {
            if (thread % 2 == 0)
            {
                using var engine = Engine(model);
                for (int i = 0; i < 20; i++)
                    AreSame([expected[(i + thread) % Images.Count]], [engine.Predict(Row(Images[(i + thread) % Images.Count])).Pooled]);
            }
            else
            {
                for (int i = 0; i < 5; i++)
                    AreClose(expected, Vectors(transformed, "Pooled"));
            }
        });
    }

    [TestMethod]
    public void An_engine_that_owns_the_model_disposes_it()
    {
        IDataView data = Data(_mlContext);
        var model = Fit(data, "Path", batchSize: 3);
        var engine = _mlContext.Model.CreatePredictionEngine<ImageRow, Prediction>(model);
        engine.Predict(Row(Images[0]));
        engine.Dispose();
        engine.Dispose();

        Assert.ThrowsExactly<ObjectDisposedException>(() => engine.Predict(Row(Images[0])));
        model.Dispose();
    }

    private static ImageRow Row(string path) =>
        new() { Path = path, FileName = Path.GetFileName(path), Bytes = File.Exists(path) ? File.ReadAllBytes(path) : [] };

    private SiglipImageFeaturizingTransformer Fit(IDataView data, string input, int batchSize) => _mlContext.Transforms.SiglipFeaturizeImage(
        Options(input, ("Patches", SiglipOutputKind.PatchEmbeddings), ("Pooled", SiglipOutputKind.PooledEmbedding)) with { BatchSize = batchSize })
        .Fit(data);

    private PredictionEngine<ImageRow, Prediction> Engine(ITransformer model) =>
        _mlContext.Model.CreatePredictionEngine<ImageRow, Prediction>(model, new PredictionEngineOptions { OwnsTransformer = false });

    private sealed class Prediction
    {
        public float[] Patches { get; set; } = [];

        public float[] Pooled { get; set; } = [];

        public string FileName { get; set; } = "";
    }

    private sealed class PooledPrediction
    {
        public float[] Pooled { get; set; } = [];
    }

    private sealed class InMemoryRow
    {
        [Microsoft.ML.Transforms.Image.ImageType(24, 40)]
        public MLImage? Image { get; set; }
    }
}
