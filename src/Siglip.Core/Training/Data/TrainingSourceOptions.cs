using System.Globalization;

namespace Siglip.Core;

/// <summary>How a <see cref="TrainingSource"/> makes batches.</summary>
internal sealed record TrainingSourceOptions
{
    /// <summary>Images of a batch; the last one of an epoch has what is left. At least 1; the default is 64.</summary>
    public int BatchSize { get; init; } = 64;

    /// <summary>Decides the order and the augmentation. The default is 0.</summary>
    public int Seed { get; init; }

    /// <summary>Whether each epoch has an order of its own; otherwise the images come as in the data set. The default is true.</summary>
    public bool Shuffle { get; init; } = true;

    /// <summary>How images are changed. The default is not at all.</summary>
    public SiglipAugmentationOptions Augmentation { get; init; } = SiglipAugmentationOptions.None;

    /// <summary>
    /// Whether images that cannot be read or decoded are counted and replaced by the next one of the epoch, so that batches keep their sizes, instead of ending the
    /// training. The default is false.
    /// </summary>
    public bool SkipBadImages { get; init; }

    /// <summary>Whether bad images that are skipped leave their batches smaller, instead of being replaced: to measure with, where no image may count twice. The
    /// default is false.</summary>
    public bool LeaveOutBadImages { get; init; }

    /// <summary>Images decoded at once. At least 1; the default is the number of processors. The batches do not depend on it.</summary>
    public int Workers { get; init; } = Environment.ProcessorCount;

    /// <summary>Batches made ahead of the model. At least 1; the default is 2.</summary>
    public int ReadAhead { get; init; } = 2;

    /// <summary>
    /// Bytes of decoded images that are kept for the next epochs: resized ones, or whole ones if parts of them are taken at random. What does not fit is decoded
    /// again each time. At least 0; the default is 1 GiB.
    /// </summary>
    public long MaxMemory { get; init; } = 1L << 30;

    /// <exception cref="ArgumentException">A value is out of its range.</exception>
    internal void Validate(int valuesOfImage)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(BatchSize, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(Workers, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(ReadAhead, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(MaxMemory);
        Augmentation.Validate();
        int most = Array.MaxLength / sizeof(float) / valuesOfImage;
        if (BatchSize > most)
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"A batch of {BatchSize:N0} images is too large, expected at most "
                + $"{most:N0} (2 GiB of pixel values); choose a smaller batch size."));
    }
}
