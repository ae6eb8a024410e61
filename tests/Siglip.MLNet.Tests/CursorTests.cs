using Microsoft.ML;
using Microsoft.ML.Data;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

[TestClass]
public sealed class CursorTests
{
    private readonly MLContext _mlContext = new(seed: 1);

    [TestMethod]
    public void Transform_computes_nothing()
    {
        IDataView data = Data(_mlContext, ["no-such-file.png"]);
        using var model = Fit(data, batchSize: 3);
        IDataView transformed = model.Transform(data);
        using DataViewRowCursor cursor = transformed.GetRowCursor(transformed.Schema);

        Assert.AreEqual(0, model.ForwardPasses);
        Assert.AreEqual(1L, transformed.GetRowCount());
        Assert.IsFalse(transformed.CanShuffle);
    }

    [TestMethod]
    public void Without_an_active_embedding_no_image_is_read()
    {
        IDataView data = Data(_mlContext, [.. Images.Take(2), "no-such-file.png"]);
        using var model = Fit(data, batchSize: 3);
        IDataView transformed = model.Transform(data);

        CollectionAssert.AreEqual(new[] { "image 0", "image 1", "image 2" }, transformed.GetColumn<string>("Name").ToArray());
        using DataViewRowCursor none = transformed.GetRowCursor([]);
        int rows = 0;
        while (none.MoveNext())
            Assert.AreEqual(rows++, none.Position);
        Assert.AreEqual(3, rows);
        Assert.AreEqual(0, model.ForwardPasses);
    }

    [TestMethod]
    public void Values_exist_only_while_the_cursor_stands_on_a_row()
    {
        IDataView data = Data(_mlContext);
        using var model = Fit(data, batchSize: 3);
        IDataView transformed = model.Transform(data);
        using DataViewRowCursor cursor = transformed.GetRowCursor(transformed.Schema);
        VBuffer<float> value = default;
        ReadOnlyMemory<char> name = default;
        DataViewRowId id = default;
        var getter = cursor.GetGetter<VBuffer<float>>(transformed.Schema["Embedding"]);
        var nameGetter = cursor.GetGetter<ReadOnlyMemory<char>>(transformed.Schema["Name"]);
        var idGetter = cursor.GetIdGetter();

        AssertNoRow();
        Assert.IsTrue(cursor.MoveNext());
        Assert.AreEqual(0, cursor.Position);
        getter(ref value);
        Assert.AreEqual(Patches * Hidden, value.Length);
        while (cursor.MoveNext())
            Assert.AreEqual(0, cursor.Batch);
        AssertNoRow();
        Assert.IsFalse(cursor.MoveNext());
        cursor.Dispose();
        cursor.Dispose();

        void AssertNoRow()
        {
            Assert.AreEqual(-1, cursor.Position);
            Assert.ThrowsExactly<InvalidOperationException>(() => getter(ref value));
            Assert.ThrowsExactly<InvalidOperationException>(() => nameGetter(ref name));
            Assert.ThrowsExactly<InvalidOperationException>(() => idGetter(ref id));
        }
    }

    [TestMethod]
    public void A_cursor_gives_only_the_columns_asked_for()
    {
        IDataView data = Data(_mlContext);
        using var model = Fit(data, batchSize: 3);
        IDataView transformed = model.Transform(data);
        using DataViewRowCursor cursor = transformed.GetRowCursor([transformed.Schema["Embedding"], transformed.Schema["Name"]]);

        CollectionAssert.AreEquivalent(new[] { "Embedding", "Name" },
            transformed.Schema.Where(cursor.IsColumnActive).Select(column => column.Name).ToArray());
        var inactive = Assert.ThrowsExactly<InvalidOperationException>(() => cursor.GetGetter<float>(transformed.Schema["Number"]));
        StringAssert.Contains(inactive.Message, "Column 'Number' is not active");
        var wrong = Assert.ThrowsExactly<InvalidOperationException>(() => cursor.GetGetter<float>(transformed.Schema["Embedding"]));
        StringAssert.Contains(wrong.Message, "Column 'Embedding' has values of type");
    }

    [TestMethod]
    public void Two_cursors_at_once_do_not_disturb_each_other()
    {
        IDataView data = Data(_mlContext);
        using var model = Fit(data, batchSize: 2);
        IDataView transformed = model.Transform(data);
        DataViewSchema.Column column = transformed.Schema["Embedding"];
        float[][] expected = Vectors(transformed, "Embedding");
        using DataViewRowCursor ahead = transformed.GetRowCursor([column]);
        using DataViewRowCursor behind = transformed.GetRowCursor([column]);
        for (int i = 0; i < 4; i++)
            Assert.IsTrue(ahead.MoveNext());

        for (int row = 0; behind.MoveNext(); row++)
        {
            CollectionAssert.AreEqual(expected[row], EstimatorWorkout.ReadVector(behind, column));
            CollectionAssert.AreEqual(expected[3], EstimatorWorkout.ReadVector(ahead, column));
        }
    }

    [TestMethod]
    public void Embedding_again_is_logged_once_with_the_remedy()
    {
        var warnings = new List<string>();
        _mlContext.Log += (_, entry) =>
        {
            if (entry.Message.Contains("AppendCacheCheckpoint", StringComparison.Ordinal))
                warnings.Add(entry.Message);
        };
        IDataView data = Data(_mlContext);
        using var model = Fit(data, batchSize: 3);
        IDataView transformed = model.Transform(data);

        Vectors(transformed, "Embedding");
        _ = transformed.GetColumn<string>("Name").ToArray();
        Assert.IsEmpty(warnings);
        Vectors(transformed, "Embedding");
        Vectors(transformed, "Embedding");
        Assert.HasCount(1, warnings);
    }

    [TestMethod]
    public void Rows_read_ahead_keep_all_their_values()
    {
        IDataView data = Data(_mlContext);
        var chain = _mlContext.Transforms.Conversion.MapValueToKey("Key", "Group")
            .Append(_mlContext.Transforms.LoadImages("Image", "", "Path"))
            .Append(_mlContext.Transforms.SiglipFeaturizeImage(
                Options("Image", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { BatchSize = 3 }));
        using var model = chain.Fit(data);
        IDataView transformed = model.Transform(data);
        DataViewSchema schema = transformed.Schema;
        using DataViewRowCursor cursor = transformed.GetRowCursor(schema);
        using DataViewRowCursor source = data.GetRowCursor([]);
        var image = cursor.GetGetter<MLImage>(schema["Image"]);
        MLImage current = null!;
        float[][] embeddings = Expected(SiglipOutputKind.PooledEmbedding);
        for (int row = 0; cursor.MoveNext(); row++)
        {
            Assert.IsTrue(source.MoveNext());
            AreClose([embeddings[row]], [EstimatorWorkout.ReadVector(cursor, schema["Embedding"])]);
            Assert.AreEqual(row, Value<float>("Number"));
            Assert.AreEqual($"image {row}", Value<ReadOnlyMemory<char>>("Name").ToString());
            Assert.AreEqual((uint)(row % 3) + 1, Value<uint>("Key"));
            CollectionAssert.AreEqual(Enumerable.Range(0, row).Select(n => n + (100f * row)).ToArray(),
                Value<VBuffer<float>>("Vector").DenseValues().ToArray());
            CollectionAssert.AreEqual(File.ReadAllBytes(Images[row]), Value<VBuffer<byte>>("Bytes").DenseValues().ToArray());
            DataViewRowId expectedId = default, id = default;
            source.GetIdGetter()(ref expectedId);
            cursor.GetIdGetter()(ref id);
            Assert.AreEqual(expectedId, id);

            image(ref current);
            using MLImage expected = MLImage.CreateFromFile(Images[row]);
            Assert.IsTrue(expected.Pixels.SequenceEqual(current.Pixels), $"pixels of row {row}");
            Assert.AreEqual(expected.Width, current.Width);
            Assert.AreEqual(Images[row], current.Tag);
        }

        current.Dispose();

        T Value<T>(string name)
        {
            T value = default!;
            cursor.GetGetter<T>(schema[name])(ref value);
            return value;
        }
    }

    [TestMethod]
    public void Images_that_a_consumer_disposes_are_not_the_cursors()
    {
        IDataView data = Data(_mlContext);
        var chain = _mlContext.Transforms.LoadImages("Image", "", "Path")
            .Append(_mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Image", Checkpoint));
        using var model = chain.Fit(data);
        IDataView transformed = model.Transform(data);
        using DataViewRowCursor cursor = transformed.GetRowCursor(transformed.Schema);
        var getter = cursor.GetGetter<MLImage>(transformed.Schema["Image"]);
        Assert.IsTrue(cursor.MoveNext());

        MLImage first = null!, second = null!;
        getter(ref first);
        first.Dispose();
        getter(ref second);
        Assert.AreEqual(16, second.Width);
        second.Dispose();
    }

    [TestMethod]
    public void Images_of_the_users_own_objects_are_not_disposed()
    {
        using MLImage image = MLImage.CreateFromFile(Images[1]);
        IDataView data = _mlContext.Data.LoadFromEnumerable(new[] { new InMemoryRow { Image = image }, new InMemoryRow { Image = image } });
        using var model = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Image", Checkpoint, SiglipOutputKind.PooledEmbedding).Fit(data);
        float[] expected = Expected(SiglipOutputKind.PooledEmbedding, [Images[1]])[0];

        AreClose([expected, expected], Vectors(model.Transform(data), "Embedding"));
        AreClose([expected, expected], Vectors(model.Transform(data), "Embedding"));
        Assert.AreEqual(40, image.Width);
    }

    private SiglipImageFeaturizingTransformer Fit(IDataView data, int batchSize) => _mlContext.Transforms
        .SiglipFeaturizeImage(Options("Path", ("Embedding", SiglipOutputKind.PatchEmbeddings)) with { BatchSize = batchSize }).Fit(data);

    private sealed class InMemoryRow
    {
        [Microsoft.ML.Transforms.Image.ImageType(24, 40)]
        public MLImage? Image { get; set; }
    }
}
