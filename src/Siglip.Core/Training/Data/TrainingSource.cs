using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Decodes and augments images on several threads ahead of the model.</summary>
/// <remarks>
/// A thread makes batch after batch, its images in parallel, and stops when <see cref="TrainingSourceOptions.ReadAhead"/> of them wait. It lives as long as the
/// loop over the batches. Tensors are made by the thread that takes the batches.
/// </remarks>
internal sealed class TrainingSource : ITrainingSource
{
    private readonly ILabeledImages _images;
    private readonly SiglipImageProcessor _processor;
    private readonly TrainingSourceOptions _options;
    private readonly PreparedImages _prepared;

    /// <param name="images">The data set.</param>
    /// <param name="processor">How images become pixel values.</param>
    /// <param name="options">How batches are made.</param>
    /// <exception cref="ArgumentException">There are no images, or an option is out of range.</exception>
    public TrainingSource(ILabeledImages images, SiglipImageProcessor processor, TrainingSourceOptions options)
    {
        if (images.Count == 0)
            throw new ArgumentException("There are no images to train on, expected at least one.", nameof(images));
        options = options with { BatchSize = Math.Min(options.BatchSize, images.Count) };
        options.Validate(processor.PixelValueCount);
        (_images, _processor, _options) = (images, processor, options);
        _prepared = new PreparedImages(images, processor, options);
    }

    /// <summary>The images shuffled, and augmented if the options say so.</summary>
    public static TrainingSource ToLearnFrom(ILabeledImages images, SiglipImageProcessor processor, SiglipTrainingOptions options) => new(images, processor, new TrainingSourceOptions
    {
        BatchSize = options.BatchSize,
        Seed = options.Seed,
        Shuffle = true,
        Augmentation = options.Augmentation,
        SkipBadImages = options.SkipBadImages,
    });

    /// <summary>The images as they are, in their order.</summary>
    public static TrainingSource ToMeasureWith(ILabeledImages images, SiglipImageProcessor processor, SiglipTrainingOptions options) =>
        new(images, processor, MeasuringOptions(options) with { LeaveOutBadImages = true });

    /// <summary>The images as they are, in their order, once: none is kept.</summary>
    public static TrainingSource ToEmbed(ILabeledImages images, SiglipImageProcessor processor, SiglipTrainingOptions options, bool leaveOutBadImages) =>
        new(images, processor, MeasuringOptions(options) with { MaxMemory = 0, LeaveOutBadImages = leaveOutBadImages });

    public int Count => _images.Count;

    public IReadOnlyList<string> Labels => _images.Labels;

    public IReadOnlyCollection<string> SkippedImages => _prepared.Bad;

    /// <summary>Bytes of decoded images that are kept.</summary>
    internal long KeptBytes => _prepared.KeptBytes;

    public IEnumerable<TrainingBatch> Batches(int epoch, int firstBatch, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(firstBatch);
        return Iterate(epoch, firstBatch, cancellationToken);
    }

    /// <summary>The indices of an epoch's images in their order.</summary>
    public static int[] Order(int count, bool shuffle, int seed, int epoch)
    {
        int[] order = [.. Enumerable.Range(0, count)];
        if (shuffle)
            SeededRandom.ForOrder(seed, epoch).Shuffle(order);
        return order;
    }

    private static TrainingSourceOptions MeasuringOptions(SiglipTrainingOptions options) => new()
    {
        BatchSize = options.BatchSize,
        Shuffle = false,
        Augmentation = SiglipAugmentationOptions.None,
        SkipBadImages = options.SkipBadImages,
    };

    private IEnumerable<TrainingBatch> Iterate(int epoch, int firstBatch, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using BlockingCollection<PreparedBatch> free = [], ready = [];
        for (int i = 0; i < _options.ReadAhead; i++)
            free.Add(new PreparedBatch(_options.BatchSize, _processor.PixelValueCount, Labels.Count), CancellationToken.None);
        Task making = Task.Factory.StartNew(
            () => Make(epoch, firstBatch, free, ready, stop.Token), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        try
        {
            while (ready.TryTake(out PreparedBatch? batch, Timeout.Infinite, cancellationToken))
            {
                cancellationToken.ThrowIfCancellationRequested();
                TrainingBatch tensors = Tensors(batch);
                free.Add(batch, CancellationToken.None);
                yield return tensors;
            }

            making.GetAwaiter().GetResult(); // throws what it ended with
        }
        finally
        {
            stop.Cancel();
            Task.WhenAny(making).Wait(CancellationToken.None); // does not throw what the loop has thrown already, or what nobody asks for any more
            _ = making.Exception;
        }
    }

    private void Make(
        int epoch, int firstBatch, BlockingCollection<PreparedBatch> free, BlockingCollection<PreparedBatch> ready, CancellationToken cancellationToken)
    {
        try
        {
            int[] order = Order(Count, _options.Shuffle, _options.Seed, epoch);
            for (long number = firstBatch; number * _options.BatchSize < order.Length; number++)
            {
                PreparedBatch batch = free.Take(cancellationToken);
                Fill(batch, order, epoch, (int)number, cancellationToken);
                (batch.Count > 0 ? ready : free).Add(batch, cancellationToken);
            }

            _prepared.ThrowIfAllAreBad();
        }
        finally
        {
            ready.CompleteAdding();
        }
    }

    private void Fill(PreparedBatch batch, int[] order, int epoch, int number, CancellationToken cancellationToken)
    {
        int start = number * _options.BatchSize;
        batch.Count = Math.Min(_options.BatchSize, order.Length - start);
        bool[] filled = new bool[batch.Count];
        ParallelLoop.For(batch.Count, _options.Workers, row => filled[row] = _prepared.Fill(order, start + row, epoch, batch, row), cancellationToken);
        batch.Keep(filled);
        BatchMix? mix = BatchMix.Draw(
            SeededRandom.ForBatch(_options.Seed, epoch, number), _processor.Config.Width, _processor.Config.Height, _options.Augmentation);
        mix?.Apply(batch.PixelValues.Span, batch.Targets.Span, batch.Count, _processor.Config.Width);
    }

    private TrainingBatch Tensors(PreparedBatch batch)
    {
        TorchNative.Ensure();
        Tensor pixelValues = Copy(batch.PixelValues, [batch.Count, 3, _processor.Config.Height, _processor.Config.Width]);
        return new TrainingBatch(pixelValues, Copy(batch.Targets, [batch.Count, Labels.Count]));
    }

    // Into torch's own memory: that of the batch is used again.
    private static Tensor Copy(Memory<float> values, long[] shape)
    {
        Tensor copy = empty(shape, dtype: ScalarType.Float32);
        MemoryMarshal.AsBytes(values.Span).CopyTo(copy.bytes);
        return copy;
    }
}
