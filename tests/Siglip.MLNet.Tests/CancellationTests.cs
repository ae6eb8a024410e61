using System.Runtime.CompilerServices;
using Microsoft.ML;
using Microsoft.ML.Data;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

[TestClass]
public sealed class CancellationTests
{
    private readonly MLContext _mlContext = new(seed: 1);

    [TestMethod]
    [DataRow(1, 0)] // while the first batch is read
    [DataRow(2, 1)] // as the second one begins
    [DataRow(3, 1)]
    public void Canceling_the_context_stops_before_the_next_forward_pass(int rowsRead, int passes)
    {
        using var model = Model();
        IDataView data = _mlContext.Data.LoadFromEnumerable(Rows(rowsRead), SchemaDefinition.Create(typeof(ImageRow)));
        IDataView transformed = model.Transform(data);
        using DataViewRowCursor cursor = transformed.GetRowCursor([transformed.Schema["Embedding"]]);

        int rows = 0;
        Assert.ThrowsExactly<OperationCanceledException>(() =>
        {
            while (cursor.MoveNext())
                rows++;
        });

        Assert.AreEqual(passes, model.ForwardPasses);
        Assert.AreEqual(2 * passes, rows);
        Assert.ThrowsExactly<OperationCanceledException>(() => cursor.MoveNext());
    }

    [TestMethod]
    public void A_prediction_engine_of_a_canceled_context_says_so()
    {
        using var model = Model();
        using var engine = _mlContext.Model.CreatePredictionEngine<ImageRow, Prediction>(model, new PredictionEngineOptions { OwnsTransformer = false });
        Assert.HasCount(Hidden, engine.Predict(new ImageRow { Path = Images[0] }).Embedding);
        Cancel(_mlContext);

        Assert.ThrowsExactly<OperationCanceledException>(() => engine.Predict(new ImageRow { Path = Images[1] }));
    }

    [TestMethod]
    public void A_loaded_model_is_canceled_with_the_context_that_loaded_it()
    {
        using var model = Model();
        var other = new MLContext();
        using var loaded = (SiglipImageFeaturizingTransformer)EstimatorWorkout.SaveAndLoad(other, model, Data(_mlContext).Schema);
        Cancel(_mlContext);
        AreClose(Expected(SiglipOutputKind.PooledEmbedding), Vectors(loaded.Transform(Data(other)), "Embedding"));
        Cancel(other);

        Assert.ThrowsExactly<OperationCanceledException>(() => Vectors(loaded.Transform(Data(other)), "Embedding"));
    }

    [TestMethod]
    public void Without_an_embedding_to_compute_nothing_is_to_be_stopped()
    {
        using var model = Model();
        IDataView data = Data(_mlContext);
        Cancel(_mlContext);

        Assert.HasCount(Images.Count, model.Transform(data).GetColumn<string>("Name").ToArray());
    }

    [TestMethod]
    public void A_token_ends_the_fit_of_a_step_that_reads_embeddings()
    {
        using var source = new CancellationTokenSource();
        IDataView data = _mlContext.Data.LoadFromEnumerable(Rows(i =>
        {
            if (i == 5)
                source.Cancel();
        }));
        var pipeline = _mlContext.Transforms.SiglipFeaturizeImage(Options("Path", ("Features", SiglipOutputKind.PooledEmbedding)) with
        {
            BatchSize = 2,
            CancellationToken = source.Token,
        }).Append(_mlContext.Transforms.NormalizeMinMax("Features"));

        var canceled = Assert.Throws<OperationCanceledException>(() => pipeline.Fit(data));
        Assert.AreEqual(source.Token, canceled.CancellationToken);
    }

    // It is public in no version of ML.NET so far; its own AutoML calls it.
    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "CancelExecution")]
    internal static extern void Cancel(MLContext mlContext);

    private IEnumerable<ImageRow> Rows(int cancelAfter) => Rows(i =>
    {
        if (i == cancelAfter)
            Cancel(_mlContext);
    });

    private static IEnumerable<ImageRow> Rows(Action<int> beforeRow)
    {
        for (int i = 0; i < Images.Count; i++)
        {
            beforeRow(i);
            yield return new ImageRow { Path = Images[i] };
        }
    }

    private SiglipImageFeaturizingTransformer Model() => _mlContext.Transforms
        .SiglipFeaturizeImage(Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { BatchSize = 2 }).Fit(Data(_mlContext));

    private sealed class Prediction
    {
        public float[] Embedding { get; set; } = [];
    }
}
