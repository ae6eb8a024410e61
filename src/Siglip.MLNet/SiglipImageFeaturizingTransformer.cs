using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using Siglip.Core;
using Siglip.MLNet.Internals;
using static TorchSharp.torch;

namespace Siglip.MLNet;

/// <summary><see cref="ITransformer"/> that adds columns with SigLIP embeddings of the images in a column. It results from fitting a
/// <see cref="SiglipImageFeaturizingEstimator"/>, or from loading a saved model.</summary>
/// <remarks>
/// <para>Nothing is computed before a cursor moves; then images go through the model in batches. Several views, engines and threads may
/// use one transformer at once.</para>
/// <para>It holds the model's memory, which all transformers of the process with equal weights, precision and device share: dispose it, or the chain that it
/// is part of; the last one frees the memory. A loaded model is an <see cref="ITransformer"/>, which has no
/// <c>Dispose</c>: <c>(model as IDisposable)?.Dispose()</c>. <see cref="PredictionEngine{TSrc, TDst}"/> disposes its model by default; make it
/// with <c>PredictionEngineOptions.OwnsTransformer = false</c> to go on using the model.</para>
/// <format type="text/markdown"><![CDATA[
/// Programs that run: [save, load and predict](~/docs/ml-net/save-load-predict.md), [many threads and web services](~/docs/ml-net/web-services.md).
/// ]]>
/// </format>
/// </remarks>
/// <seealso cref="SiglipCatalog.SiglipFeaturizeImage(TransformsCatalog, SiglipImageFeaturizingOptions)"/>
public sealed class SiglipImageFeaturizingTransformer : ITransformer, IDisposable
{
    private readonly IHostEnvironment _root; // the context's own, by which its cache is found
    private readonly EmbeddingSpace _space;
    private readonly CancellationToken _cancellationToken;
    private long _forwardPasses;
    private long _imagesEmbedded;
    private volatile bool _disposed;

    /// <param name="environment">Where messages go, and what may be cancelled.</param>
    /// <param name="settings">Checked settings.</param>
    /// <param name="embedder">Owned by the new transformer.</param>
    /// <param name="device">Torch's name of the embedder's device.</param>
    /// <param name="savedDtype">The type in which weights are saved.</param>
    /// <param name="weightsSha256">The hash of the checkpoint's weights, for saving without weights; null if they are saved.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    internal SiglipImageFeaturizingTransformer(
        IHostEnvironment environment, FeaturizerSettings settings, SiglipImageEmbedder embedder, string device, ScalarType savedDtype, string? weightsSha256,
        CancellationToken cancellationToken)
    {
        _cancellationToken = cancellationToken;
        (Host, _root) = (environment.Register(nameof(SiglipImageFeaturizingTransformer)), Environments.RootOf(environment));
        (Settings, Embedder, Device, SavedDtype, WeightsSha256) = (settings, embedder, device, savedDtype, weightsSha256);
        _space = new EmbeddingSpace(embedder, settings, device);
    }

    /// <summary>The input column and output columns, the model and its settings.</summary>
    internal FeaturizerSettings Settings { get; }

    internal IHost Host { get; }

    internal SiglipImageEmbedder Embedder { get; }

    /// <summary>Torch's name of the device that computes.</summary>
    internal string Device { get; }

    internal ScalarType SavedDtype { get; }

    internal string? WeightsSha256 { get; }

    /// <summary>Number of forward passes so far, each of a batch.</summary>
    internal long ForwardPasses => Interlocked.Read(ref _forwardPasses);

    /// <summary>Number of images in these passes.</summary>
    internal long ImagesEmbedded => Interlocked.Read(ref _imagesEmbedded);

    bool ITransformer.IsRowToRowMapper => true;

    /// <summary>The columns of an input, followed by the embeddings.</summary>
    /// <param name="inputSchema">The input's columns.</param>
    /// <returns>A schema in which an output column hides an input column of the same name.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The input column is missing or has a wrong type.</exception>
    /// <exception cref="ObjectDisposedException">This transformer is disposed.</exception>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema) => Bind(inputSchema).Output;

    /// <summary>Wraps an input; embeddings are computed when a cursor over the result moves.</summary>
    /// <param name="input">Data with the input column.</param>
    /// <returns>A view that computes anew in each pass over it; <c>mlContext.Data.Cache</c> keeps what has been read.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The input column is missing or has a wrong type.</exception>
    /// <exception cref="ObjectDisposedException">This transformer is disposed.</exception>
    public IDataView Transform(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        return new FeaturizedDataView(this, input, Bind(input.Schema));
    }

    IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema) => new FeaturizedRowMapper(this, Bind(inputSchema));

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        CheckUndisposed();
        SavedTransformer.Save(ctx, this);
    }

    /// <summary>Ends the use of the model, and frees it if nobody else uses it: at once, or when the forward passes in flight on other threads have ended. Calling
    /// it again does nothing.</summary>
    public void Dispose()
    {
        _disposed = true;
        Embedder.Dispose();
    }

    /// <summary>The same with another answer to bad images. It shares this transformer's model, and is not to be disposed.</summary>
    internal SiglipImageFeaturizingTransformer WithBadImages(BadImageHandling badImages) =>
        new(Host, Settings with { BadImages = badImages }, Embedder, Device, SavedDtype, WeightsSha256, _cancellationToken);

    internal FeaturizedSchema Bind(DataViewSchema inputSchema)
    {
        CheckUndisposed();
        return new FeaturizedSchema(inputSchema, Settings, new EmbeddingSizes(Embedder.PatchCount, Embedder.Config.HiddenSize));
    }

    /// <summary>Where embeddings of the context's images are kept; null if nowhere.</summary>
    internal ImageLookup? FindCache() => SiglipEmbeddingCache.Of(_root) is { } cache ? new ImageLookup(cache, _space) : null;

    /// <summary>One forward pass.</summary>
    internal SiglipImageEmbeddings Embed(PixelValueBatch images, int count, SiglipEmbeddingOutputs outputs)
    {
        SiglipImageEmbeddings embeddings = Embedder.Embed(images, count, outputs);
        Interlocked.Increment(ref _forwardPasses);
        Interlocked.Add(ref _imagesEmbedded, count);
        return embeddings;
    }

    /// <exception cref="ObjectDisposedException">This transformer is disposed.</exception>
    internal void CheckUndisposed() => ObjectDisposedException.ThrowIf(_disposed, this);

    /// <summary>Checks that work may go on.</summary>
    /// <exception cref="ObjectDisposedException">This transformer is disposed.</exception>
    /// <exception cref="OperationCanceledException">The environment is canceled, or the options' token.</exception>
    internal void CheckAlive()
    {
        CheckUndisposed();
        Host.CheckAlive();
        _cancellationToken.ThrowIfCancellationRequested();
    }
}
