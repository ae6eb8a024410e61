using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Images in, embeddings out. One instance serves any number of threads.</summary>
/// <remarks>The same numbers as transformers' SiglipImageProcessor and SiglipVisionModel, up to the rounding of float32.</remarks>
public sealed class SiglipImageEmbedder : IDisposable
{
    private readonly SiglipVisionModel _model;
    private readonly SiglipImageProcessor _processor;
    private readonly SiglipImageEmbedderOptions _options;
    private readonly Device _device;
    private readonly Lock _lifetime = new();
    private int _passesInFlight;
    private bool _disposed;

    /// <summary>Takes over a model; disposing the embedder disposes it.</summary>
    /// <param name="model">The model; its parameters stay as they are.</param>
    /// <param name="processorConfig">How images become the model's pixel values.</param>
    /// <param name="options">How to work; null for the defaults.</param>
    /// <exception cref="ArgumentException">The images' size is not the model's, the output is no single flag, or the model has no pooling
    /// head for a pooled embedding.</exception>
    public SiglipImageEmbedder(SiglipVisionModel model, SiglipImageProcessorConfig processorConfig, SiglipImageEmbedderOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        options ??= new SiglipImageEmbedderOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(options.BatchSize, 1);
        _processor = new SiglipImageProcessor(processorConfig);
        _options = options;
        _model = model;

        CheckFit(model.Config, processorConfig);
        Output = options.Output ?? (model.Config.VisionUseHead ? SiglipEmbeddingOutputs.PooledEmbedding : SiglipEmbeddingOutputs.MeanPatchEmbedding);
        if (Output is not (SiglipEmbeddingOutputs.PatchEmbeddings or SiglipEmbeddingOutputs.PooledEmbedding or SiglipEmbeddingOutputs.MeanPatchEmbedding))
            throw new ArgumentException($"The output is {Output}, expected one of patch, pooled and mean patch embedding.");
        CheckHead(Config, Output);

        _device = TorchDevice.Find(options.Device);
        _model.to(_device);
        _model.eval();
    }

    /// <summary>Loads a model with its preprocessing.</summary>
    /// <param name="model">A folder, or <c>nano</c>; see <see cref="SiglipCheckpoint.Open"/>.</param>
    /// <param name="options">How to work; null for the defaults.</param>
    /// <exception cref="FileNotFoundException">There is no such folder, or it lacks a file.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or the weights do not fit the configuration.</exception>
    /// <exception cref="ArgumentException">The device does not exist, or the options do not fit the model.</exception>
    /// <exception cref="InvalidOperationException">The device is a GPU, but CUDA is not available.</exception>
    public static SiglipImageEmbedder FromPretrained(string model, SiglipImageEmbedderOptions? options = null)
    {
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(model);
        TorchDevice.Find((options ?? new SiglipImageEmbedderOptions()).Device); // before the weights are read
        SiglipVisionModel loaded = checkpoint.LoadVisionModel();
        try
        {
            return new SiglipImageEmbedder(loaded, checkpoint.ProcessorConfig, options);
        }
        catch
        {
            loaded.Dispose();
            throw;
        }
    }

    /// <summary>The model's sizes.</summary>
    public SiglipVisionConfig Config => _model.Config;

    /// <summary>How images become pixel values.</summary>
    public SiglipImageProcessorConfig ProcessorConfig => _processor.Config;

    /// <summary>The embedding that <c>Embed</c> and <c>EmbedAsync</c> return.</summary>
    public SiglipEmbeddingOutputs Output { get; }

    internal SiglipVisionModel Model => _model;

    internal SiglipImageProcessor Processor => _processor;

    /// <summary>Number of float values that one image's embedding has.</summary>
    /// <param name="output">One flag.</param>
    public int GetLength(SiglipEmbeddingOutputs output) =>
        output == SiglipEmbeddingOutputs.PatchEmbeddings ? Config.NumPatches * Config.HiddenSize : Config.HiddenSize;

    /// <summary>Embeds an image file.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is no image, or a damaged one.</exception>
    /// <exception cref="ObjectDisposedException">This embedder is disposed.</exception>
    public float[] Embed(string imagePath) => Embed(RgbImage.Load(imagePath, _options.ApplyExifOrientation));

    /// <summary>Embeds an encoded image: the bytes of a JPEG, PNG, WebP, GIF or BMP file.</summary>
    /// <exception cref="InvalidDataException">It is no image, or a damaged one.</exception>
    /// <exception cref="ObjectDisposedException">This embedder is disposed.</exception>
    public float[] Embed(ReadOnlyMemory<byte> encodedImage) =>
        Embed(RgbImage.Decode(encodedImage, "the image", _options.ApplyExifOrientation));

    /// <summary>Embeds an image.</summary>
    /// <exception cref="ObjectDisposedException">This embedder is disposed.</exception>
    public float[] Embed(RgbImage image)
    {
        ArgumentNullException.ThrowIfNull(image);
        return EmbedBatch([image], Output).Get(Output, 0).ToArray();
    }

    /// <summary>Embeds images in one forward pass.</summary>
    /// <param name="images">At least one.</param>
    /// <param name="outputs">The embeddings wanted.</param>
    /// <exception cref="ArgumentException">There is no image, or the model has no pooling head for a pooled embedding.</exception>
    /// <exception cref="ObjectDisposedException">This embedder is disposed.</exception>
    public SiglipImageEmbeddings EmbedBatch(IReadOnlyList<RgbImage> images, SiglipEmbeddingOutputs outputs)
    {
        ArgumentNullException.ThrowIfNull(images);
        if (images.Count == 0)
            throw new ArgumentException("There are no images.", nameof(images));

        float[] pixelValues = new float[images.Count * _processor.PixelValueCount];
        Parallel.For(0, images.Count, i => _processor.Preprocess(images[i], PixelValuesOf(pixelValues, i)));
        return EmbedPixelValues(pixelValues, images.Count, outputs);
    }

    /// <summary>Embeds image files, in batches: while the model computes one, the next is decoded and resized on all cores.</summary>
    /// <param name="imagePaths">The files.</param>
    /// <param name="cancellationToken">Ends the sequence before the next batch.</param>
    /// <returns>One embedding for each file, in their order.</returns>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">A file is no image, or a damaged one.</exception>
    /// <exception cref="ObjectDisposedException">This embedder is disposed.</exception>
    public IAsyncEnumerable<SiglipImageEmbedding> EmbedAsync(IAsyncEnumerable<string> imagePaths, CancellationToken cancellationToken) =>
        EmbedAsync(imagePaths, path => RgbImage.Load(path, _options.ApplyExifOrientation), cancellationToken);

    /// <summary>Embeds encoded images, in batches: while the model computes one, the next is decoded and resized on all cores.</summary>
    /// <param name="encodedImages">The bytes of JPEG, PNG, WebP, GIF or BMP files.</param>
    /// <param name="cancellationToken">Ends the sequence before the next batch.</param>
    /// <returns>One embedding for each image, in their order.</returns>
    /// <exception cref="InvalidDataException">One is no image, or a damaged one.</exception>
    /// <exception cref="ObjectDisposedException">This embedder is disposed.</exception>
    public IAsyncEnumerable<SiglipImageEmbedding> EmbedAsync(
        IAsyncEnumerable<ReadOnlyMemory<byte>> encodedImages, CancellationToken cancellationToken) =>
        EmbedAsync(encodedImages, encoded => RgbImage.Decode(encoded, "the image", _options.ApplyExifOrientation), cancellationToken);

    /// <summary>Embeds images, in batches: while the model computes one, the next is resized on all cores.</summary>
    /// <param name="images">The images.</param>
    /// <param name="cancellationToken">Ends the sequence before the next batch.</param>
    /// <returns>One embedding for each image, in their order.</returns>
    /// <exception cref="ObjectDisposedException">This embedder is disposed.</exception>
    public IAsyncEnumerable<SiglipImageEmbedding> EmbedAsync(IAsyncEnumerable<RgbImage> images, CancellationToken cancellationToken) =>
        EmbedAsync(images, image => image, cancellationToken);

    /// <summary>Frees the model; a forward pass in flight on another thread ends first.</summary>
    public void Dispose()
    {
        lock (_lifetime)
        {
            if (_disposed)
                return;
            _disposed = true;
            if (_passesInFlight > 0)
                return; // the last pass frees the model
        }

        _model.Dispose();
    }

    /// <summary>Checks that the preprocessing makes images that the model takes.</summary>
    /// <exception cref="ArgumentException">Their size or the number of channels is another one.</exception>
    internal static void CheckFit(SiglipVisionConfig config, SiglipImageProcessorConfig processorConfig)
    {
        if (processorConfig.Height != config.ImageSize || processorConfig.Width != config.ImageSize) // without do_resize too: then images must have it
            throw new ArgumentException($"The preprocessing makes images of {processorConfig.Height} x {processorConfig.Width} pixels, the model "
                + $"expects {config.ImageSize} x {config.ImageSize}. Use the preprocessor_config.json that belongs to the model.");
        if (config.NumChannels != 3)
            throw new ArgumentException($"The model expects images of {config.NumChannels} channels; images are embedded as RGB, 3 channels.");
    }

    /// <summary>Checks that the model has the embeddings.</summary>
    /// <exception cref="ArgumentException">A pooled embedding is asked for, and the model has no pooling head.</exception>
    internal static void CheckHead(SiglipVisionConfig config, SiglipEmbeddingOutputs outputs)
    {
        if (outputs.HasFlag(SiglipEmbeddingOutputs.PooledEmbedding) && !config.VisionUseHead)
            throw new ArgumentException("The model has no pooling head (vision_use_head is false), hence no pooled embedding; ask for the mean "
                + $"patch embedding ({nameof(SiglipEmbeddingOutputs.MeanPatchEmbedding)}) or the patch embeddings "
                + $"({nameof(SiglipEmbeddingOutputs.PatchEmbeddings)}).");
    }

    /// <summary>One image's part of a batch's pixel values.</summary>
    internal Span<float> PixelValuesOf(float[] pixelValues, int index) =>
        pixelValues.AsSpan(index * _processor.PixelValueCount, _processor.PixelValueCount);

    /// <summary>One forward pass.</summary>
    /// <param name="pixelValues">[count, 3, height, width]; longer arrays are allowed.</param>
    /// <param name="count">Number of images.</param>
    /// <param name="outputs">The embeddings wanted.</param>
    internal SiglipImageEmbeddings EmbedPixelValues(float[] pixelValues, int count, SiglipEmbeddingOutputs outputs)
    {
        CheckHead(Config, outputs);
        EnterPass();
        try
        {
            using var noGradients = inference_mode();
            using DisposeScope scope = NewDisposeScope();
            Tensor pixels = tensor(pixelValues.AsMemory(0, count * _processor.PixelValueCount), [count, 3, _processor.Config.Height, _processor.Config.Width]).to(_device);
            bool pooled = outputs.HasFlag(SiglipEmbeddingOutputs.PooledEmbedding);
            SiglipVisionOutput? output = pooled ? _model.Forward(pixels, new SiglipForwardOptions()) : null;
            Tensor last = output?.LastHiddenState ?? _model.call(pixels); // [batch, patches, hidden]
            return new SiglipImageEmbeddings(
                count,
                outputs.HasFlag(SiglipEmbeddingOutputs.PatchEmbeddings) ? ToArray(last) : null,
                pooled ? ToArray(output!.PoolerOutput!) : null,
                outputs.HasFlag(SiglipEmbeddingOutputs.MeanPatchEmbedding) ? ToArray(last.mean([1])) : null);
        }
        finally
        {
            LeavePass();
        }
    }

    private async IAsyncEnumerable<SiglipImageEmbedding> EmbedAsync<T>(
        IAsyncEnumerable<T> items, Func<T, RgbImage> decode, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(items);
        long done = 0;
        Task<Batch>? running = null;
        await foreach (T[] chunk in items.Chunk(_options.BatchSize).WithCancellation(cancellationToken))
        {
            Task<Batch> prepared = Task.Run(() => Prepare(chunk, decode), cancellationToken);
            if (running is not null)
            {
                foreach (SiglipImageEmbedding embedding in Results(await running))
                    yield return embedding;
            }

            Batch next = await prepared;
            running = Task.Run(() => Compute(next), cancellationToken);
        }

        if (running is not null)
        {
            foreach (SiglipImageEmbedding embedding in Results(await running))
                yield return embedding;
        }

        IEnumerable<SiglipImageEmbedding> Results(Batch batch)
        {
            for (int i = 0; i < batch.Errors.Length; i++)
                yield return new SiglipImageEmbedding(done++, batch.Embeddings!.Get(Output, i).ToArray(), batch.Errors[i]);
        }
    }

    private Batch Prepare<T>(T[] items, Func<T, RgbImage> decode)
    {
        var batch = new Batch(new float[items.Length * _processor.PixelValueCount], new Exception?[items.Length], null);
        Parallel.For(0, items.Length, i =>
        {
            try
            {
                _processor.Preprocess(decode(items[i]), PixelValuesOf(batch.PixelValues, i));
            }
            catch (Exception e) when (e is IOException or InvalidDataException or UnauthorizedAccessException)
            {
                batch.Errors[i] = e;
            }
        });
        if (!_options.BadImagesAreMissing && batch.Errors.FirstOrDefault(error => error is not null) is { } first)
            ExceptionDispatchInfo.Throw(first);
        return batch;
    }

    private Batch Compute(Batch batch)
    {
        SiglipImageEmbeddings embeddings = EmbedPixelValues(batch.PixelValues, batch.Errors.Length, Output);
        int length = GetLength(Output);
        for (int i = 0; i < batch.Errors.Length; i++)
        {
            if (batch.Errors[i] is not null)
                embeddings.Values(Output).AsSpan(i * length, length).Fill(float.NaN);
        }

        return batch with { Embeddings = embeddings };
    }

    private sealed record Batch(float[] PixelValues, Exception?[] Errors, SiglipImageEmbeddings? Embeddings);

    private float[] ToArray(Tensor embeddings)
    {
        if (_options.Normalize)
            embeddings = nn.functional.normalize(embeddings, dim: -1);
        return embeddings.to(float32).cpu().contiguous().data<float>().ToArray();
    }

    private void EnterPass()
    {
        lock (_lifetime)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            _passesInFlight++;
        }
    }

    private void LeavePass()
    {
        lock (_lifetime)
        {
            if (--_passesInFlight > 0 || !_disposed)
                return;
        }

        _model.Dispose();
    }
}
