using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using Siglip.Core;
using Siglip.MLNet.Internals;
using static TorchSharp.torch;

namespace Siglip.MLNet;

/// <summary>Adds columns with SigLIP embeddings of the images in a column. Made by <see cref="SiglipImageFeaturizingEstimator"/>, or by
/// loading a saved model.</summary>
/// <remarks>
/// <para>Nothing is computed before a cursor moves; then images go through the model in batches. Several views, engines and threads may
/// use one transformer at once.</para>
/// <para>It owns the model's memory: dispose it, or the chain that it is part of. PredictionEngine disposes its model by default; make it
/// with <c>PredictionEngineOptions.OwnsTransformer = false</c> to go on using the model.</para>
/// </remarks>
public sealed class SiglipImageFeaturizingTransformer : ITransformer, IDisposable
{
    private long _forwardPasses;
    private volatile bool _disposed;

    /// <param name="environment">Where messages go.</param>
    /// <param name="settings">Checked settings.</param>
    /// <param name="embedder">Owned by the new transformer.</param>
    /// <param name="savedDtype">The type in which weights are saved.</param>
    /// <param name="weightsSha256">The hash of the checkpoint's weights, for saving without weights; null if they are saved.</param>
    internal SiglipImageFeaturizingTransformer(
        IHostEnvironment environment, FeaturizerSettings settings, SiglipImageEmbedder embedder, ScalarType savedDtype, string? weightsSha256)
    {
        (Environment, Settings, Embedder, SavedDtype, WeightsSha256) = (environment, settings, embedder, savedDtype, weightsSha256);
    }

    /// <summary>The input column and output columns, the model and its settings.</summary>
    internal FeaturizerSettings Settings { get; }

    internal IHostEnvironment Environment { get; }

    internal SiglipImageEmbedder Embedder { get; }

    internal ScalarType SavedDtype { get; }

    internal string? WeightsSha256 { get; }

    /// <summary>Number of forward passes so far.</summary>
    internal long ForwardPasses => Interlocked.Read(ref _forwardPasses);

    bool ITransformer.IsRowToRowMapper => true;

    /// <summary>The columns of an input, followed by the embeddings.</summary>
    /// <param name="inputSchema">The input's columns.</param>
    /// <exception cref="ArgumentOutOfRangeException">The input column is missing or has a wrong type.</exception>
    /// <exception cref="ObjectDisposedException">This transformer is disposed.</exception>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema) => Bind(inputSchema).Output;

    /// <summary>Wraps an input; embeddings are computed when a cursor over the result moves.</summary>
    /// <param name="input">Data with the input column.</param>
    /// <exception cref="ArgumentOutOfRangeException">The input column is missing or has a wrong type.</exception>
    /// <exception cref="ObjectDisposedException">This transformer is disposed.</exception>
    public IDataView Transform(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        return new FeaturizedDataView(this, input);
    }

    IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema) => new FeaturizedRowMapper(this, Bind(inputSchema));

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        SavedTransformer.Save(ctx, this);
    }

    /// <summary>Frees the model: at once, or when the forward passes in flight on other threads have ended. Calling it again does nothing.</summary>
    public void Dispose()
    {
        _disposed = true;
        Embedder.Dispose();
    }

    /// <summary>The same with another answer to bad images. It shares this transformer's model, and is not to be disposed.</summary>
    internal SiglipImageFeaturizingTransformer WithBadImages(BadImageHandling badImages) =>
        new(Environment, Settings with { BadImages = badImages }, Embedder, SavedDtype, WeightsSha256);

    internal FeaturizedSchema Bind(DataViewSchema inputSchema)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return new FeaturizedSchema(inputSchema, Settings, new EmbeddingSizes(Embedder.PatchCount, Embedder.Config.HiddenSize));
    }

    /// <exception cref="ObjectDisposedException">This transformer is disposed.</exception>
    internal void CheckNotDisposed() => ObjectDisposedException.ThrowIf(_disposed, this);

    /// <summary>One forward pass.</summary>
    internal SiglipImageEmbeddings Embed(PixelValueBatch images, int count, SiglipEmbeddingOutputs outputs)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        SiglipImageEmbeddings embeddings = Embedder.Embed(images, count, outputs);
        Interlocked.Increment(ref _forwardPasses);
        return embeddings;
    }
}
