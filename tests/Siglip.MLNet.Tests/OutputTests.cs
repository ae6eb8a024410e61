using Microsoft.ML;
using Microsoft.ML.Data;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

[TestClass]
public sealed class OutputTests
{
    private readonly MLContext _mlContext = new(seed: 1);

    [TestMethod]
    [DataRow("Path", SiglipOutputKind.PatchEmbeddings)]
    [DataRow("Path", SiglipOutputKind.PooledEmbedding)]
    [DataRow("Path", SiglipOutputKind.MeanPatchEmbedding)]
    [DataRow("Bytes", SiglipOutputKind.PatchEmbeddings)]
    [DataRow("Bytes", SiglipOutputKind.PooledEmbedding)]
    [DataRow("Bytes", SiglipOutputKind.MeanPatchEmbedding)]
    [DataRow("Image", SiglipOutputKind.PatchEmbeddings)]
    [DataRow("Image", SiglipOutputKind.PooledEmbedding)]
    [DataRow("Image", SiglipOutputKind.MeanPatchEmbedding)]
    public void Every_kind_of_input_gives_the_embedders_own_numbers(string input, SiglipOutputKind kind)
    {
        var pipeline = _mlContext.Transforms.LoadImages("Image", "", "Path")
            .Append(_mlContext.Transforms.SiglipFeaturizeImage("Embedding", input, Checkpoint, kind));
        IDataView data = Data(_mlContext);
        using var model = pipeline.Fit(data);

        AreClose(Expected(kind), Vectors(model.Transform(data), "Embedding"));
    }

    [TestMethod]
    [DataRow(SiglipOutputKind.PatchEmbeddings)]
    [DataRow(SiglipOutputKind.PooledEmbedding)]
    [DataRow(SiglipOutputKind.MeanPatchEmbedding)]
    public void The_test_images_have_embeddings_far_apart(SiglipOutputKind kind)
    {
        // Otherwise comparisons with the tolerance would say nothing.
        float[][] embeddings = Expected(kind);
        for (int i = 0; i < embeddings.Length; i++)
        {
            for (int j = 0; j < i; j++)
                Assert.IsGreaterThan(100 * Tolerance, embeddings[i].Zip(embeddings[j], (a, b) => Math.Abs(a - b)).Max(), $"images {i} and {j}");
        }
    }

    [TestMethod]
    public void Without_an_input_column_the_output_replaces_the_input()
    {
        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage("Path", model: Checkpoint, output: SiglipOutputKind.PooledEmbedding).Fit(data);
        IDataView transformed = model.Transform(data);

        AreClose(Expected(SiglipOutputKind.PooledEmbedding), Vectors(transformed, "Path"));
        Assert.AreEqual(1, transformed.Schema.Count(column => column.Name == "Path" && !column.IsHidden));
    }

    [TestMethod]
    public void Relative_paths_start_from_the_image_folder()
    {
        IDataView data = Data(_mlContext);
        var options = Options("FileName", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { ImageFolder = ImageFolder };
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data);

        AreClose(Expected(SiglipOutputKind.PooledEmbedding), Vectors(model.Transform(data), "Embedding"));
    }

    [TestMethod]
    public void Normalized_embeddings_have_length_one()
    {
        IDataView data = Data(_mlContext);
        var options = Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { Normalize = true };
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data);
        float[][] embeddings = Vectors(model.Transform(data), "Embedding");

        AreClose(Expected(SiglipOutputKind.PooledEmbedding, normalize: true), embeddings);
        foreach (float[] embedding in embeddings)
            Assert.AreEqual(1, embedding.Sum(value => value * value), 1e-5f);
    }

    [TestMethod]
    [DataRow(1)]
    [DataRow(3)]
    [DataRow(7)]
    [DataRow(16)]
    [DataRow(1_000_000)]
    public void The_batch_size_does_not_change_the_numbers(int batchSize)
    {
        IDataView data = Data(_mlContext);
        var options = Options("Path", ("Embedding", SiglipOutputKind.PatchEmbeddings)) with { BatchSize = batchSize };
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data);

        AreClose(Expected(SiglipOutputKind.PatchEmbeddings), Vectors(model.Transform(data), "Embedding"));
        Assert.AreEqual((Images.Count + batchSize - 1) / batchSize, model.ForwardPasses);
    }

    [TestMethod]
    [DataRow("Path")]
    [DataRow("Bytes")]
    public void Several_outputs_share_one_forward_pass_for_each_batch(string input)
    {
        IDataView data = Data(_mlContext);
        var options = Options(input, ("A", SiglipOutputKind.PatchEmbeddings), ("B", SiglipOutputKind.PooledEmbedding),
            ("C", SiglipOutputKind.MeanPatchEmbedding), ("D", SiglipOutputKind.PooledEmbedding)) with
        { BatchSize = 4 };
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data);
        IDataView transformed = model.Transform(data);
        var rows = new List<(float[] A, float[] B, float[] C, float[] D)>();
        using (DataViewRowCursor cursor = transformed.GetRowCursor(transformed.Schema))
        {
            var getters = "ABCD".Select(name => cursor.GetGetter<VBuffer<float>>(transformed.Schema[$"{name}"])).ToArray();
            while (cursor.MoveNext())
            {
                float[][] row = [.. getters.Select(getter =>
                {
                    VBuffer<float> value = default;
                    getter(ref value);
                    return value.DenseValues().ToArray();
                })];
                rows.Add((row[0], row[1], row[2], row[3]));
            }
        }

        AreClose(Expected(SiglipOutputKind.PatchEmbeddings), [.. rows.Select(row => row.A)]);
        AreClose(Expected(SiglipOutputKind.PooledEmbedding), [.. rows.Select(row => row.B)]);
        AreClose(Expected(SiglipOutputKind.MeanPatchEmbedding), [.. rows.Select(row => row.C)]);
        AreSame([.. rows.Select(row => row.B)], [.. rows.Select(row => row.D)]);
        Assert.AreEqual(2, model.ForwardPasses);
    }

    [TestMethod]
    public void The_schema_promised_is_the_schema_delivered()
    {
        IDataView data = Data(_mlContext);
        var estimator = _mlContext.Transforms.Conversion.MapValueToKey("Key", "Group")
            .Append(_mlContext.Transforms.LoadImages("Image", "", "Path"))
            .Append(_mlContext.Transforms.SiglipFeaturizeImage(Options("Image", ("Patches", SiglipOutputKind.PatchEmbeddings),
                ("Pooled", SiglipOutputKind.PooledEmbedding), ("Vector", SiglipOutputKind.MeanPatchEmbedding))));
        using var model = estimator.Fit(data);
        IDataView transformed = model.Transform(data);
        SchemaShape before = EstimatorWorkout.ShapeOf(data.Schema);
        SchemaShape promised = estimator.GetOutputSchema(before);
        DataViewSchema announced = model.GetOutputSchema(data.Schema);

        var delivered = transformed.Schema.Where(column => !column.IsHidden).ToDictionary(column => column.Name);
        CollectionAssert.AreEquivalent(promised.Select(column => column.Name).ToList(), delivered.Keys.ToList());
        foreach (SchemaShape.Column column in promised)
        {
            DataViewType type = delivered[column.Name].Type;
            Assert.AreEqual(type is VectorDataViewType vector
                ? vector.IsKnownSize ? SchemaShape.Column.VectorKind.Vector : SchemaShape.Column.VectorKind.VariableVector
                : SchemaShape.Column.VectorKind.Scalar, column.Kind, column.Name);
            DataViewType item = (type as VectorDataViewType)?.ItemType ?? type;
            Assert.AreEqual(item is KeyDataViewType, column.IsKey, column.Name);
            Assert.AreEqual(item is KeyDataViewType ? typeof(uint) : item.RawType, column.ItemType.RawType, column.Name);
        }

        CollectionAssert.AreEqual(
            announced.Select(column => (column.Name, column.Type, column.IsHidden)).ToList(),
            transformed.Schema.Select(column => (column.Name, column.Type, column.IsHidden)).ToList());
        Assert.AreEqual(new VectorDataViewType(NumberDataViewType.Single, Patches, Hidden), delivered["Patches"].Type);
        Assert.AreEqual(new VectorDataViewType(NumberDataViewType.Single, Hidden), delivered["Pooled"].Type);
        Assert.AreEqual(new VectorDataViewType(NumberDataViewType.Single, Hidden), delivered["Vector"].Type);
        Assert.IsTrue(delivered["Key"].HasKeyValues(), "annotations of other columns stay");
    }

    [TestMethod]
    public void Transparent_pixels_of_files_keep_their_colors()
    {
        string opaque = SaveImage("opaque.png", 20, 20, (x, y) => new((byte)(12 * x), (byte)(12 * y), 200));
        string transparent = SaveImage("transparent.png", 20, 20, (x, y) => new((byte)(12 * x), (byte)(12 * y), 200, (byte)(x * y % 3 * 100)));
        IDataView data = Data(_mlContext, [opaque, transparent]);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", Checkpoint).Fit(data);
        float[][] embeddings = Vectors(model.Transform(data), "Embedding");

        AreClose([embeddings[0]], [embeddings[1]]);
    }
}
