using System.Collections.Concurrent;

namespace Siglip.Core;

/// <summary>Images of a data set, changed at random and made to pixel values.</summary>
internal sealed class PreparedImages
{
    private readonly ILabeledImages _images;
    private readonly SiglipImageProcessor _processor;
    private readonly TrainingSourceOptions _options;
    private readonly RgbImage?[] _kept;
    private readonly ConcurrentDictionary<int, string> _bad = [];
    private long _keptBytes;

    public PreparedImages(ILabeledImages images, SiglipImageProcessor processor, TrainingSourceOptions options)
    {
        (_images, _processor, _options) = (images, processor, options);
        _kept = new RgbImage?[images.Count];
    }

    /// <summary>What was wrong with the images that are skipped.</summary>
    public IReadOnlyCollection<string> Bad => [.. _bad.OrderBy(entry => entry.Key).Select(entry => entry.Value)];

    /// <summary>Bytes of decoded images that are kept.</summary>
    public long KeptBytes => Volatile.Read(ref _keptBytes);

    /// <summary>Fills a row of a batch, with the next good image if this one is bad and to be replaced.</summary>
    /// <param name="order">The epoch's images.</param>
    /// <param name="position">Which of them.</param>
    /// <param name="epoch">Its number.</param>
    /// <param name="batch">The batch.</param>
    /// <param name="row">The row.</param>
    /// <returns>False if the image is bad and left out.</returns>
    public bool Fill(int[] order, int position, int epoch, PreparedBatch batch, int row)
    {
        int index = order[position];
        int tries = _options.LeaveOutBadImages ? 1 : order.Length;
        for (int skipped = 0; skipped < tries; skipped++)
        {
            int replacement = order[(position + skipped) % order.Length];
            if (Read(replacement) is not { } image)
                continue;
            RgbImage changed = Augment(image, SeededRandom.ForImage(_options.Seed, epoch, index));
            _processor.Preprocess(changed, batch.PixelValuesOf(row));
            batch.TargetsOf(row).Clear();
            batch.TargetsOf(row)[_images.LabelOf(replacement)] = 1;
            return true;
        }

        ThrowIfAllAreBad();
        return false;
    }

    /// <exception cref="InvalidDataException">All images are bad.</exception>
    public void ThrowIfAllAreBad()
    {
        if (_bad.Count == _images.Count)
            throw new InvalidDataException($"None of the {_images.Count} images can be read; the last one's error: {Bad.Last()}");
    }

    // The whole image if parts of it are taken, otherwise at the model's size; null if it is bad and to be skipped.
    private RgbImage? Read(int index)
    {
        if (Volatile.Read(ref _kept[index]) is { } kept)
            return kept;
        if (_bad.ContainsKey(index))
            return null;
        try
        {
            RgbImage image = _images.Load(index);
            return Keep(index, _options.Augmentation.RandomResizedCrop ? image : Resize(index, image));
        }
        catch (Exception e) when (_options.SkipBadImages && e is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            _bad[index] = e.Message;
            return null;
        }
    }

    private RgbImage Resize(int index, RgbImage image)
    {
        try
        {
            return _processor.Resize(image);
        }
        catch (ArgumentException e)
        {
            throw UnfitImage.Named(_images.NameOf(index), e);
        }
    }

    private RgbImage Keep(int index, RgbImage image)
    {
        long bytes = image.Data.Length;
        if (Interlocked.Add(ref _keptBytes, bytes) > _options.MaxMemory || Interlocked.CompareExchange(ref _kept[index], image, null) is not null)
            Interlocked.Add(ref _keptBytes, -bytes);
        return image;
    }

    private RgbImage Augment(RgbImage image, Random random)
    {
        SiglipAugmentationOptions options = _options.Augmentation;
        (int width, int height) = (_processor.Config.Width, _processor.Config.Height);
        if (options.RandomResizedCrop)
            image = ImageResizer.Resize(
                ImageCrop.Draw(random, image.Width, image.Height, options).Apply(image), width, height, _processor.Config.Resample, _processor.Backend);
        image = ImageShift.Draw(random, height, width, options).Apply(image);
        for (int i = 0; i < options.ColourOperations; i++)
            image = ColourOperation.Draw(random, options.ColourMagnitude).Apply(image);
        return image;
    }
}
