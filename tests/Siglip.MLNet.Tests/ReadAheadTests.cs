using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;
using SkiaSharp;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

/// <summary>What a cursor reads and decodes before it is asked for: seen by counters, never by time.</summary>
[TestClass]
public sealed class ReadAheadTests
{
    private readonly MLContext _mlContext = new(seed: 1);

    public TestContext TestContext { get; set; } = null!;

    [TestMethod]
    [DataRow(1)]
    [DataRow(3)]
    public void The_first_batch_is_read_alone_and_later_ones_with_some_batches_after_them(int batchSize)
    {
        int read = 0;
        IDataView data = _mlContext.Data.LoadFromEnumerable(Rows(60, () => read++), SchemaDefinition.Create(typeof(ImageRow)));
        using var model = Model(batchSize);
        int ahead = batchSize == 1 ? 0 : model.Embedder.BatchesAhead(batchSize);
        IDataView transformed = model.Transform(data);
        using DataViewRowCursor cursor = transformed.GetRowCursor([transformed.Schema["Embedding"]]);

        Assert.AreEqual(0, read);
        for (int row = 0; cursor.MoveNext(); row++)
        {
            int batches = 1 + (row / batchSize), expected = row < batchSize ? batchSize : Math.Min(60, (batches + ahead) * batchSize);
            Assert.IsInRange(expected, Math.Min(61, expected + 1), read, $"row {row}"); // the enumerable may stand one row further
        }

        Assert.AreEqual(60, model.ImagesEmbedded);
    }

    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    [DataRow(5)]
    public void Rows_keep_their_values_and_batches_their_bits(int batchSize)
    {
        string[] paths = [.. Enumerable.Range(0, 23).Select(i => Images[i * 3 % Images.Count])];
        IDataView data = Data(_mlContext, paths);
        using var model = Model(batchSize);
        IDataView transformed = model.Transform(data);
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(Checkpoint);
        float[][] expected = [.. paths.Chunk(batchSize).SelectMany(batch =>
        {
            SiglipImageEmbeddings embeddings = embedder.EmbedBatch([.. batch.Select(path => RgbImage.Load(path))], SiglipEmbeddingOutputs.PooledEmbedding);
            return Enumerable.Range(0, batch.Length).Select(i => embeddings.Get(SiglipEmbeddingOutputs.PooledEmbedding, i).ToArray());
        })];
        using DataViewRowCursor cursor = transformed.GetRowCursor(transformed.Schema);
        var name = cursor.GetGetter<ReadOnlyMemory<char>>(transformed.Schema["Name"]);
        ReadOnlyMemory<char> value = default;

        for (int row = 0; row < paths.Length; row++)
        {
            Assert.IsTrue(cursor.MoveNext());
            name(ref value);
            Assert.AreEqual($"image {row}", value.ToString());
            CollectionAssert.AreEqual(expected[row], EstimatorWorkout.ReadVector(cursor, transformed.Schema["Embedding"]), $"row {row}");
        }

        Assert.IsFalse(cursor.MoveNext());
    }

    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    [DataRow(3)]
    public void An_input_that_fails_far_ahead_fails_when_its_row_is_reached(int batchSize)
    {
        const int Good = 17;
        int rows = 0;
        IDataView data = _mlContext.Data.LoadFromEnumerable(
            Rows(60, () => rows = rows < Good ? rows + 1 : throw new IOException("the share is gone")), SchemaDefinition.Create(typeof(ImageRow)));
        using var model = Model(batchSize);
        IDataView transformed = model.Transform(data);
        using DataViewRowCursor cursor = transformed.GetRowCursor([transformed.Schema["Embedding"]]);
        int given = 0;

        Assert.AreEqual("the share is gone", Assert.ThrowsExactly<IOException>(() =>
        {
            while (cursor.MoveNext())
                given++;
        }).Message);
        Assert.AreEqual(Good, given);
        Assert.ThrowsExactly<IOException>(() => cursor.MoveNext());
    }

    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    public void A_bad_image_that_is_decoded_ahead_is_an_error_of_its_row_only(int batchSize)
    {
        IDataView data = Data(_mlContext, [.. Images, .. Images, "no-such-file.png", .. Images]);
        using var model = Model(batchSize);
        IDataView transformed = model.Transform(data);
        using DataViewRowCursor cursor = transformed.GetRowCursor([transformed.Schema["Embedding"]]);
        for (int row = 0; cursor.MoveNext(); row++)
        {
            if (row == 2 * Images.Count)
                StringAssert.StartsWith(Assert.ThrowsExactly<FileNotFoundException>(() => EstimatorWorkout.ReadVector(cursor, transformed.Schema["Embedding"])).Message, $"Row {row}, ");
            else
                Assert.HasCount(Hidden, EstimatorWorkout.ReadVector(cursor, transformed.Schema["Embedding"]));
        }
    }

    [TestMethod]
    [Timeout(120_000, CooperativeCancellation = true)]
    public void Disposing_waits_for_what_is_decoded_and_nothing_goes_on()
    {
        // Files that are gone with the cursor: whatever still read one would say so.
        string folder = NewPath("read-ahead");
        for (int round = 0; round < 10; round++)
        {
            Directory.CreateDirectory(folder);
            string[] paths = [.. Enumerable.Range(0, 40).Select(i => Path.Combine(folder, $"{i}{Path.GetExtension(Images[i % Images.Count])}"))];
            for (int i = 0; i < paths.Length; i++)
                File.Copy(Images[i % Images.Count], paths[i]);
            using var model = Model(batchSize: 2);
            IDataView transformed = model.Transform(Data(_mlContext, paths));
            DataViewRowCursor cursor = transformed.GetRowCursor([transformed.Schema["Embedding"]]);
            for (int row = 0; row < round; row++)
                Assert.IsTrue(cursor.MoveNext());

            cursor.Dispose();
            Directory.Delete(folder, recursive: true);
            model.Dispose();
            cursor.Dispose();
            Assert.IsFalse(cursor.MoveNext());
        }
    }

    [TestMethod]
    public void With_an_embedding_cache_no_image_is_computed_twice_in_spite_of_reading_ahead()
    {
        using SiglipEmbeddingCache cache = _mlContext.CacheSiglipEmbeddings();
        using var model = Model(batchSize: 2);
        Vectors(model.Transform(Data(_mlContext, Enumerable.Range(0, 30).Select(i => Images[i % 3]))), "Embedding");

        Assert.AreEqual(3, model.ImagesEmbedded);
    }

    [TestMethod]
    public void FastDecode_is_what_cursor_engine_and_loaded_model_do()
    {
        string path = SaveImage("large.jpg", 200, 140, (x, y) => new SKColor((byte)(x * 13), (byte)((y * 7) ^ x), (byte)(x * y)));
        SiglipImageFeaturizingOptions options = Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { BatchSize = 1 };
        IDataView data = Data(_mlContext, [path]);
        using var exact = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data);
        using var fast = _mlContext.Transforms.SiglipFeaturizeImage(options with { FastDecode = true }).Fit(data);
        using var loaded = (SiglipImageFeaturizingTransformer)EstimatorWorkout.SaveAndLoad(_mlContext, fast, data.Schema);
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(Checkpoint, new() { FastDecode = true });
        using var engine = _mlContext.Model.CreatePredictionEngine<ImageRow, Prediction>(loaded, new PredictionEngineOptions { OwnsTransformer = false });
        float[] expected = embedder.Embed(path);

        CollectionAssert.AreNotEqual(Vectors(exact.Transform(data), "Embedding")[0], expected);
        CollectionAssert.AreEqual(expected, Vectors(fast.Transform(data), "Embedding")[0]);
        CollectionAssert.AreEqual(expected, Vectors(loaded.Transform(data), "Embedding")[0]);
        CollectionAssert.AreEqual(expected, engine.Predict(new ImageRow { Path = path }).Embedding);
    }

    private static IEnumerable<ImageRow> Rows(int count, Action beforeRow)
    {
        for (int i = 0; i < count; i++)
        {
            beforeRow();
            yield return new ImageRow { Path = Images[i % Images.Count] };
        }
    }

    private SiglipImageFeaturizingTransformer Model(int batchSize) => _mlContext.Transforms
        .SiglipFeaturizeImage(Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { BatchSize = batchSize }).Fit(Data(_mlContext));

    private sealed class Prediction
    {
        public float[] Embedding { get; set; } = [];
    }
}
