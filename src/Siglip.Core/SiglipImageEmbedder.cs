using System.Collections.Concurrent;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Threading.Channels;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Images in, embeddings out. One instance serves any number of threads.</summary>
/// <remarks>The same numbers as transformers' SiglipImageProcessor and SiglipVisionModel, up to the rounding of float32.</remarks>
public sealed class SiglipImageEmbedder : IDisposable
{
    private readonly VisionTower[] _towers; // of one model, one on each device
    private readonly SiglipImageEmbedderOptions _options;
    private readonly Lock _lifetime = new();
    private int _passesInFlight;
    private bool _disposed;

#pragma warning disable RS0026 // The first parameter tells the overloads apart.
    /// <summary>Takes over a model with fixed resolution; disposing the embedder disposes it.</summary>
    /// <param name="model">The model; its parameters are moved to the device that the options name, and converted if they name a precision.</param>
    /// <param name="processorConfig">How images become the model's pixel values.</param>
    /// <param name="options">How to work; null for the defaults.</param>
    /// <exception cref="ArgumentException">The images' size is not the model's, the model's images are not RGB, the batch size is below 1, the
    /// output is no single flag, the model has no pooling head for a pooled embedding, an option is for models with variable resolution, or the device does
    /// not exist.</exception>
    /// <exception cref="InvalidOperationException">The device is a GPU, but CUDA is not available.</exception>
    public SiglipImageEmbedder(SiglipVisionModel model, SiglipImageProcessorConfig processorConfig, SiglipImageEmbedderOptions? options = null)
        : this([VisionTower.Of(model, processorConfig, options ?? new SiglipImageEmbedderOptions())], options ?? new SiglipImageEmbedderOptions())
    {
    }

    /// <summary>Takes over a model with variable resolution (NaFlex); disposing the embedder disposes it.</summary>
    /// <param name="model">The model; its parameters are moved to the device that the options name, and converted if they name a precision.</param>
    /// <param name="processorConfig">How images become the model's patches.</param>
    /// <param name="options">How to work; null for the defaults.</param>
    /// <exception cref="ArgumentException">The patches' size is not the model's, the model's images are not RGB, the batch size is below 1, the
    /// output is no single flag, the model has no pooling head for a pooled embedding, an option is for models with fixed resolution, or the device does
    /// not exist.</exception>
    /// <exception cref="InvalidOperationException">The device is a GPU, but CUDA is not available.</exception>
    public SiglipImageEmbedder(Siglip2VisionModel model, Siglip2ImageProcessorConfig processorConfig, SiglipImageEmbedderOptions? options = null)
        : this([VisionTower.Of(model, processorConfig, options ?? new SiglipImageEmbedderOptions())], options ?? new SiglipImageEmbedderOptions())
    {
    }
#pragma warning restore RS0026

    private SiglipImageEmbedder(VisionTower[] towers, SiglipImageEmbedderOptions options)
    {
        _towers = towers;
        _options = options;
        Output = OutputOf(options, Config);
        Reading = new ImageReading(options.ApplyExifOrientation, options.FastDecode ? First.SizeFor : null);
    }

    /// <summary>Loads a model, with fixed or variable resolution, and its preprocessing. Embedders of equal weights, precision and device share one model in
    /// memory, wherever they were loaded from.</summary>
    /// <param name="model">A folder, the id of a model of the Hugging Face hub, or <c>nano</c>; see <see cref="SiglipCheckpoint.Open"/>.</param>
    /// <param name="options">How to work; null for the defaults.</param>
    /// <exception cref="FileNotFoundException">There is no such folder or model, or it lacks a file.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or the weights do not fit the configuration.</exception>
    /// <exception cref="ArgumentException">The device does not exist, or the options do not fit the model.</exception>
    /// <exception cref="InvalidOperationException">The device is a GPU, but CUDA is not available.</exception>
    /// <exception cref="UnauthorizedAccessException">The model is gated, and the user's token has no access.</exception>
    /// <exception cref="IOException">The hub cannot be reached, and the model is not in the cache; or the cache cannot be written to.</exception>
    public static SiglipImageEmbedder FromPretrained(string model, SiglipImageEmbedderOptions? options = null)
    {
        options ??= new SiglipImageEmbedderOptions();
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(model, options.Revision, options.Offline);
        return Load(checkpoint, options);
    }

    /// <summary>Loads the model of an open checkpoint.</summary>
    internal static SiglipImageEmbedder Load(SiglipCheckpoint checkpoint, SiglipImageEmbedderOptions options) =>
        new(VisionTower.Load(checkpoint, options), options);

    /// <summary>The model's sizes: a <see cref="SiglipVisionConfig"/>, or a <see cref="Siglip2VisionConfig"/> if it has variable resolution.</summary>
    public SiglipVisionConfigBase Config => First.Config;

    /// <summary>How images become pixel values, with what the options change of it: a <see cref="SiglipImageProcessorConfig"/>, or a
    /// <see cref="Siglip2ImageProcessorConfig"/> if the model has variable resolution.</summary>
    public SiglipImageProcessorConfigBase ProcessorConfig => First.ProcessorConfig;

    /// <summary>The most patches of an image; with fixed resolution the patches of every image.</summary>
    public int PatchCount => First.PatchCount;

    /// <summary>The embedding that <c>Embed</c> and <c>EmbedAsync</c> return.</summary>
    public SiglipEmbeddingOutputs Output { get; }

    internal nn.Module Model => First.Model;

    private VisionTower First => _towers[0];

    /// <summary>How image files are read.</summary>
    internal ImageReading Reading { get; }

    /// <inheritdoc cref="ModelUse.ToParts"/>
    internal IReadOnlyList<SafetensorsPart> ToParts(ScalarType dtype) => First.ToParts(dtype);

    /// <inheritdoc cref="ModelUse.ModelSha256"/>
    internal string? ModelSha256 => First.ModelSha256;

    /// <inheritdoc cref="ModelUse.IsShared"/>
    internal bool SharesModel => First.SharesModel;

    /// <summary>Number of float values that one image's embedding has; for patch embeddings of a model with variable resolution, those of the most
    /// patches.</summary>
    /// <param name="output">One flag.</param>
    /// <exception cref="ArgumentException"><paramref name="output"/> is no single flag.</exception>
    public int GetLength(SiglipEmbeddingOutputs output)
    {
        CheckSingle(output);
        return output == SiglipEmbeddingOutputs.PatchEmbeddings ? PatchCount * Config.HiddenSize : Config.HiddenSize;
    }

    /// <summary>Embeds an image file.</summary>
    /// <returns>[hidden], or [patches, hidden] row-major; a model with variable resolution gives as many patches as the image has.</returns>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is no image, a damaged one, or one that the preprocessing does not take.</exception>
    /// <exception cref="ObjectDisposedException">This embedder is disposed.</exception>
    public float[] Embed(string imagePath) => Embed(Open(imagePath), $"'{imagePath}'");

    /// <summary>Embeds an encoded image: the bytes of a JPEG, PNG, WebP, GIF or BMP file.</summary>
    /// <exception cref="InvalidDataException">It is no image, a damaged one, or one that the preprocessing does not take.</exception>
    /// <exception cref="ObjectDisposedException">This embedder is disposed.</exception>
    public float[] Embed(ReadOnlyMemory<byte> encodedImage) =>
        Embed(ImageDecoder.Open(encodedImage, "the image", Reading), "the image");

    /// <summary>Embeds an image.</summary>
    /// <exception cref="ArgumentException">The preprocessing does not resize (<see cref="SiglipImageProcessorConfigBase.DoResize"/> is false), and the image
    /// has another size.</exception>
    /// <exception cref="ObjectDisposedException">This embedder is disposed.</exception>
    public float[] Embed(RgbImage image)
    {
        ArgumentNullException.ThrowIfNull(image);
        return EmbedBatch([image], Output).Get(Output, 0).ToArray();
    }

    /// <summary>Embeds images in one forward pass.</summary>
    /// <param name="images">At least one.</param>
    /// <param name="outputs">The embeddings wanted.</param>
    /// <exception cref="ArgumentException">There is no image, one is null, they are too many for one array, no output is asked for, or the model
    /// has no pooling head for a pooled embedding.</exception>
    /// <exception cref="ObjectDisposedException">This embedder is disposed.</exception>
    public SiglipImageEmbeddings EmbedBatch(IReadOnlyList<RgbImage> images, SiglipEmbeddingOutputs outputs)
    {
        ArgumentNullException.ThrowIfNull(images);
        if (images.Count == 0)
            throw new ArgumentException("There are no images.", nameof(images));
        CheckOutputs(outputs);
        int limit = MaxCount(outputs);
        if (images.Count > limit)
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"There are {images.Count:N0} images, at most {limit:N0} fit into one "
                + $"forward pass. Use EmbedAsync, which works in batches."), nameof(images));
        if (images.Contains(null!))
            throw new ArgumentException("One of the images is null.", nameof(images));

        PixelValueBatch batch = CreateBatch();
        batch.Ensure(images.Count - 1);
        ParallelLoop.For(images.Count, i => batch.Preprocess(i, images[i]));
        return Embed(batch, images.Count, outputs);
    }

    /// <summary>Embeds image files, in batches: while the model computes one, the next ones are decoded and resized on the cores that it leaves idle.</summary>
    /// <param name="imagePaths">The files.</param>
    /// <param name="cancellationToken">Ends the sequence before the next batch; the input gets a token that is cancelled with it.</param>
    /// <returns>One embedding for each file, in their order. A batch's embeddings come as soon as it is computed, also if what follows in the input
    /// fails. Leaving the sequence early waits for the images that are being prepared, and cancels the input's token.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="imagePaths"/> is null.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">A file is no image, a damaged one, or one that the preprocessing does not take; the message names it.</exception>
    /// <exception cref="ObjectDisposedException">This embedder is disposed.</exception>
    public IAsyncEnumerable<SiglipImageEmbedding> EmbedAsync(IAsyncEnumerable<string> imagePaths, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(imagePaths);
        return EmbedBatches(imagePaths, (path, _) => $"'{path}'", (path, _) => Open(path), cancellationToken);
    }

    /// <summary>Embeds encoded images, in batches: while the model computes one, the next ones are decoded and resized on the cores that it leaves idle.</summary>
    /// <param name="encodedImages">The bytes of JPEG, PNG, WebP, GIF or BMP files.</param>
    /// <param name="cancellationToken">Ends the sequence before the next batch; the input gets a token that is cancelled with it.</param>
    /// <returns>One embedding for each image, in their order. A batch's embeddings come as soon as it is computed, also if what follows in the input
    /// fails. Leaving the sequence early waits for the images that are being prepared, and cancels the input's token.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="encodedImages"/> is null.</exception>
    /// <exception cref="InvalidDataException">One is no image, a damaged one, or one that the preprocessing does not take; the message says which, counted from 0.</exception>
    /// <exception cref="ObjectDisposedException">This embedder is disposed.</exception>
    public IAsyncEnumerable<SiglipImageEmbedding> EmbedAsync(IAsyncEnumerable<ReadOnlyMemory<byte>> encodedImages, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(encodedImages);
        return EmbedBatches(
            encodedImages, (_, index) => $"image {index}", (encoded, source) => ImageDecoder.Open(encoded, source, Reading), cancellationToken);
    }

    /// <summary>Embeds images, in batches: while the model computes one, the next ones are resized on the cores that it leaves idle.</summary>
    /// <param name="images">The images.</param>
    /// <param name="cancellationToken">Ends the sequence before the next batch; the input gets a token that is cancelled with it.</param>
    /// <returns>One embedding for each image, in their order. A batch's embeddings come as soon as it is computed, also if what follows in the input
    /// fails. Leaving the sequence early waits for the images that are being prepared, and cancels the input's token.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="images"/> is null.</exception>
    /// <exception cref="ObjectDisposedException">This embedder is disposed.</exception>
    public IAsyncEnumerable<SiglipImageEmbedding> EmbedAsync(IAsyncEnumerable<RgbImage> images, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(images);
        return EmbedBatches(images, (_, index) => $"image {index}", (image, _) => new ImageRows(image ?? throw new ArgumentNullException(nameof(images), "One of the images is null.")), cancellationToken);
    }

    /// <summary>Frees the model, unless others that were loaded from equal weights still use it. Does not wait for a forward pass in flight on another thread:
    /// that pass ends as usual, and frees the model then.</summary>
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

        DisposeTowers();
    }

    /// <summary>Checks that the model has the embeddings.</summary>
    /// <exception cref="ArgumentException">A pooled embedding is asked for, and the model has no pooling head.</exception>
    internal static void CheckHead(SiglipVisionConfigBase config, SiglipEmbeddingOutputs outputs)
    {
        if (outputs.HasFlag(SiglipEmbeddingOutputs.PooledEmbedding) && !config.VisionUseHead)
            throw new ArgumentException("The model has no pooling head (vision_use_head is false), hence no pooled embedding; ask for the mean "
                + $"patch embedding ({nameof(SiglipEmbeddingOutputs.MeanPatchEmbedding)}) or the patch embeddings "
                + $"({nameof(SiglipEmbeddingOutputs.PatchEmbeddings)}).");
    }

    /// <summary>Checks the options that do not depend on the preprocessing.</summary>
    /// <exception cref="ArgumentException">The batch size is below 1, the output is no single flag, or the model has no pooling head for it.</exception>
    internal static void CheckOptions(SiglipImageEmbedderOptions options, SiglipVisionConfigBase config)
    {
        if (options.BatchSize < 1)
            throw new ArgumentOutOfRangeException($"BatchSize is {options.BatchSize}, expected at least 1.", innerException: null);
        SiglipEmbeddingOutputs output = OutputOf(options, config);
        CheckSingle(output);
        CheckHead(config, output);
    }

    internal PixelValueBatch CreateBatch() => new(First, First.TakesLevels && First.Device.type != DeviceType.CPU);

    /// <summary>One forward pass.</summary>
    /// <param name="batch">Preprocessed images.</param>
    /// <param name="count">Number of images: the first slots of the batch.</param>
    /// <param name="outputs">The embeddings wanted.</param>
    internal SiglipImageEmbeddings Embed(PixelValueBatch batch, int count, SiglipEmbeddingOutputs outputs)
    {
        CheckHead(Config, outputs);
        EnterPass();
        try
        {
            using var noGradients = inference_mode();
            using DisposeScope scope = NewDisposeScope();
            ReadOnlySpan<SiglipPatchGrid> grids = batch.Grids(count);
            var shares = new (Tensor Patches, Tensor? Pooled, Tensor? Mean)[Math.Min(_towers.Length, count)];
            for (int i = 0, first = 0; i < shares.Length; i++) // GPUs compute beside each other, as nothing here waits for them
            {
                int size = (count - first) / (shares.Length - i);
                shares[i] = _towers[i].Forward(batch.ToTensor(first, size, _towers[i].Device), grids.Slice(first, size), outputs);
                first += size;
            }

            return new SiglipImageEmbeddings(
                count,
                Config.HiddenSize,
                grids.ToArray(),
                outputs.HasFlag(SiglipEmbeddingOutputs.PatchEmbeddings) ? ToArray([.. shares.Select(share => share.Patches)]) : null,
                outputs.HasFlag(SiglipEmbeddingOutputs.PooledEmbedding) ? ToArray([.. shares.Select(share => share.Pooled!)]) : null,
                outputs.HasFlag(SiglipEmbeddingOutputs.MeanPatchEmbedding) ? ToArray([.. shares.Select(share => share.Mean!)]) : null);
        }
        finally
        {
            LeavePass();
        }
    }

    /// <summary>How many batches are prepared while the model computes another one: enough for all cores, and more than one only as far as memory allows.</summary>
    /// <param name="batchSize">Images of a batch.</param>
    internal int BatchesAhead(int batchSize)
    {
        const long MaxBytes = 256 << 20;
        long wanted = (2L * Environment.ProcessorCount) / batchSize, allowed = MaxBytes / ((long)batchSize * First.PixelValueCount * sizeof(float));
        return (int)Math.Max(1, Math.Min(wanted, allowed));
    }

    private async IAsyncEnumerable<SiglipImageEmbedding> EmbedBatches<T>(
        IAsyncEnumerable<T> items, Func<T, long, string> nameOf, Func<T, string, PixelRows> open, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        int size = Math.Min(_options.BatchSize, MaxCount(Output));
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var model = new ModelThread();
        var ahead = Channel.CreateBounded<Batch>(BatchesAhead(size));
        ConcurrentBag<PixelValueBatch> used = []; // memory for further batches
        Task reading = Task.Run(ReadAsync, CancellationToken.None);
        Batch? current = null;
        long done = 0;
        try
        {
            await foreach (Batch batch in ahead.Reader.ReadAllAsync(cancellationToken))
            {
                cancellationToken.ThrowIfCancellationRequested();
                current = batch;
                SiglipImageEmbeddings embeddings = await model.Run(() => Embed(batch));
                used.Add(batch.Images);
                for (int i = 0; i < embeddings.Count; i++)
                    yield return ResultOf(done++, embeddings, i, batch.Errors[i]);
            }
        }
        finally
        {
            // The sequence may be left early: nothing is to go on behind the caller's back.
            await stop.CancelAsync();
            await reading;
            do
                current?.Preparation.Leave();
            while (ahead.Reader.TryRead(out current));
        }

        async Task ReadAsync()
        {
            try
            {
                long read = 0;
                await using IAsyncEnumerator<T[]> chunks = items.Chunk(size).GetAsyncEnumerator(stop.Token);
                while (await ahead.Writer.WaitToWriteAsync(stop.Token) && await chunks.MoveNextAsync())
                {
                    (T[] chunk, long first) = (chunks.Current, read);
                    if (!used.TryTake(out PixelValueBatch? images))
                        images = CreateBatch();
                    ahead.Writer.TryWrite(Prepare(images, chunk, i => nameOf(chunk[i], first + i), open, begin: first > 0, stop.Token));
                    read += chunk.Length;
                }

                ahead.Writer.Complete();
            }
            catch (Exception exception) // thrown by the reader of the channel, after the batches before
            {
                ahead.Writer.Complete(exception);
            }
        }
    }

    // The first batch has no pass beside which it could be prepared.
    private static Batch Prepare<T>(
        PixelValueBatch images, T[] items, Func<int, string> nameOf, Func<T, string, PixelRows> open, bool begin, CancellationToken cancellationToken)
    {
        images.Ensure(items.Length - 1);
        var errors = new Exception?[items.Length];
        return new Batch(images, errors, begin
            ? AwaitedLoop.Begin(items.Length, Prepare, cancellationToken)
            : AwaitedLoop.Defer(items.Length, Prepare, cancellationToken));

        void Prepare(int i)
        {
            try
            {
                string name = nameOf(i);
                Preprocess(images, i, open(items[i], name), name);
            }
            catch (Exception e) when (e is IOException or InvalidDataException or UnauthorizedAccessException)
            {
                images.Clear(i);
                errors[i] = e;
            }
        }
    }

    private SiglipImageEmbeddings Embed(Batch batch)
    {
        batch.Preparation.Finish();
        if (!_options.BadImagesAreMissing && batch.Errors.FirstOrDefault(error => error is not null) is { } bad)
            ExceptionDispatchInfo.Throw(bad);
        return Embed(batch.Images, batch.Errors.Length, Output);
    }

    private static void Preprocess(PixelValueBatch batch, int slot, PixelRows image, string name)
    {
        using (image)
        {
            try
            {
                batch.Preprocess(slot, image);
            }
            catch (ArgumentException e)
            {
                throw UnfitImage.Named(name, e);
            }
        }
    }

    private PixelRows Open(string imagePath)
    {
        ArgumentException.ThrowIfNullOrEmpty(imagePath);
        return ImageDecoder.Open(RgbImage.ReadFile(imagePath), $"'{imagePath}'", Reading);
    }

    private float[] Embed(PixelRows image, string name)
    {
        PixelValueBatch batch = CreateBatch();
        batch.Ensure(0);
        Preprocess(batch, 0, image, name);
        return Embed(batch, 1, Output).Get(Output, 0).ToArray();
    }

    private SiglipImageEmbedding ResultOf(long index, SiglipImageEmbeddings embeddings, int slot, Exception? error)
    {
        if (error is null)
            return new SiglipImageEmbedding(index, embeddings.Get(Output, slot).ToArray(), embeddings.PatchGrids[slot], null);
        var missing = new float[GetLength(Output)];
        missing.AsSpan().Fill(float.NaN);
        return new SiglipImageEmbedding(index, missing, default, error);
    }

    private sealed record Batch(PixelValueBatch Images, Exception?[] Errors, AwaitedLoop Preparation);

    private float[] ToArray(Tensor[] shares)
    {
        Tensor[] values = [.. shares.Select(share => share.to(float32).cpu())];
        Tensor embeddings = values is [var only] ? only : cat(values); // [batch, …]
        if (_options.Normalize)
            embeddings = nn.functional.normalize(embeddings, dim: -1);
        return embeddings.contiguous().data<float>().ToArray();
    }

    private static SiglipEmbeddingOutputs OutputOf(SiglipImageEmbedderOptions options, SiglipVisionConfigBase config) =>
        options.Output ?? (config.VisionUseHead ? SiglipEmbeddingOutputs.PooledEmbedding : SiglipEmbeddingOutputs.MeanPatchEmbedding);

    // As many as their pixel values and the embeddings fit into one array each.
    private int MaxCount(SiglipEmbeddingOutputs outputs) =>
        Array.MaxLength / Math.Max(First.PixelValueCount, outputs.HasFlag(SiglipEmbeddingOutputs.PatchEmbeddings)
            ? GetLength(SiglipEmbeddingOutputs.PatchEmbeddings) : Config.HiddenSize);

    private static void CheckSingle(SiglipEmbeddingOutputs output)
    {
        if (output is not (SiglipEmbeddingOutputs.PatchEmbeddings or SiglipEmbeddingOutputs.PooledEmbedding or SiglipEmbeddingOutputs.MeanPatchEmbedding))
            throw new ArgumentException($"The output is {output}, expected one of patch, pooled and mean patch embedding.");
    }

    private void CheckOutputs(SiglipEmbeddingOutputs outputs)
    {
        const SiglipEmbeddingOutputs All =
            SiglipEmbeddingOutputs.PatchEmbeddings | SiglipEmbeddingOutputs.PooledEmbedding | SiglipEmbeddingOutputs.MeanPatchEmbedding;
        if (outputs == SiglipEmbeddingOutputs.None || (outputs & ~All) != 0)
            throw new ArgumentException($"The outputs are {outputs}, expected at least one of patch, pooled and mean patch embedding.", nameof(outputs));
        CheckHead(Config, outputs);
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

        DisposeTowers();
    }

    private void DisposeTowers() => Array.ForEach(_towers, tower => tower.Dispose());
}
