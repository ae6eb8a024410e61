using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;
using TorchSharp;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

[TestClass]
[DoNotParallelize] // counts all tensors of the process
public sealed class LifetimeTests
{
    private readonly MLContext _mlContext = new(seed: 1);

    [TestMethod]
    public void Tensors_do_not_pile_up()
    {
        IDataView data = Data(_mlContext);
        var estimator = _mlContext.Transforms.SiglipFeaturizeImage(Options("Path", ("A", SiglipOutputKind.PatchEmbeddings),
            ("B", SiglipOutputKind.PooledEmbedding), ("C", SiglipOutputKind.MeanPatchEmbedding)) with
        { BatchSize = 3 });
        Use(estimator.Fit(data));

        // TorchSharp's Parameter empties the tensor that it is made of, but that one counts until it is collected: two models a round.
        long beforeModel = torch.Tensor.TotalCount;
        new SiglipVisionModel(Config).Dispose();
        long emptied = torch.Tensor.TotalCount - beforeModel;
        long before = torch.Tensor.TotalCount;
        for (int i = 0; i < 3; i++)
            Use(estimator.Fit(data));
        Assert.IsLessThanOrEqualTo(before + (3 * 2 * emptied), torch.Tensor.TotalCount, "after dispose");

        using var model = estimator.Fit(data);
        long loaded = torch.Tensor.TotalCount;
        for (int i = 0; i < 3; i++)
            Vectors(model.Transform(data), "A");
        Assert.IsLessThanOrEqualTo(loaded, torch.Tensor.TotalCount, "after transforms");

        void Use(SiglipImageFeaturizingTransformer model)
        {
            IDataView transformed = model.Transform(data);
            Vectors(transformed, "A");
            Vectors(transformed, "C");
            using (DataViewRowCursor abandoned = transformed.GetRowCursor(transformed.Schema))
                abandoned.MoveNext();
            ITransformer copy = EstimatorWorkout.SaveAndLoad(_mlContext, model, data.Schema);
            Vectors(copy.Transform(data), "B");
            ((IDisposable)copy).Dispose();
            model.Dispose();
        }
    }

    [TestMethod]
    public void After_dispose_use_is_an_error()
    {
        IDataView data = Data(_mlContext);
        var model = _mlContext.Transforms.SiglipFeaturizeImage(
            Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { BatchSize = 2 }).Fit(data);
        IDataView transformed = model.Transform(data);
        DataViewSchema.Column column = transformed.Schema["Embedding"];
        using DataViewRowCursor cursor = transformed.GetRowCursor([column]);
        Assert.IsTrue(cursor.MoveNext());
        Assert.IsTrue(cursor.MoveNext());

        model.Dispose();
        model.Dispose();

        Assert.HasCount(Hidden, EstimatorWorkout.ReadVector(cursor, column)); // computed before
        Assert.ThrowsExactly<ObjectDisposedException>(() => cursor.MoveNext());
        Assert.ThrowsExactly<ObjectDisposedException>(() => model.Transform(data));
        Assert.ThrowsExactly<ObjectDisposedException>(() => model.GetOutputSchema(data.Schema));
        Assert.ThrowsExactly<ObjectDisposedException>(() => ((ITransformer)model).GetRowToRowMapper(data.Schema));
        Assert.ThrowsExactly<ObjectDisposedException>(() => Vectors(transformed, "Embedding"));
        Assert.ThrowsExactly<ObjectDisposedException>(() => _mlContext.Model.Save(model, data.Schema, new MemoryStream()));
    }

    [TestMethod]
    public void Disposing_while_other_threads_compute_ends_them_cleanly()
    {
        IDataView data = Data(_mlContext);
        float[][] expected = Expected(SiglipOutputKind.PooledEmbedding);
        for (int round = 0; round < 5; round++)
        {
            var model = _mlContext.Transforms.SiglipFeaturizeImage(
                Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { BatchSize = 1 }).Fit(data);
            IDataView transformed = model.Transform(data);
            Task[] readers = [.. Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
            {
                while (true)
                {
                    try
                    {
                        AreSame(expected, Vectors(transformed, "Embedding"));
                    }
                    catch (ObjectDisposedException)
                    {
                        return;
                    }
                }
            }))];
            Thread.Sleep(30);
            model.Dispose();
            Task.WaitAll(readers);
        }
    }

    [TestMethod]
    public void Disposing_a_chain_disposes_the_model()
    {
        IDataView data = Data(_mlContext);
        var chain = _mlContext.Transforms.CopyColumns("Image", "Path")
            .Append(_mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Image", Checkpoint)).Fit(data);
        chain.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(() => chain.LastTransformer.Transform(data));
    }
}
