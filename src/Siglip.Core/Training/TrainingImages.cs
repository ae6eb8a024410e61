namespace Siglip.Core;

/// <summary>The images of a dataset at the model's size, as the training loop reads them.</summary>
/// <remarks>Small sets stay in memory once decoded and resized; of larger ones each image is read again whenever it is needed.</remarks>
internal sealed class TrainingImages
{
    private const long MemoryLimit = 1L << 30; // bytes of resized pixels

    private readonly SiglipImageProcessor _processor;
    private readonly RgbImage?[] _resized;
    private readonly bool _keep;

    public TrainingImages(ImageFolderDataset dataset, SiglipImageProcessor processor)
    {
        Dataset = dataset;
        _processor = processor;
        _keep = (long)dataset.Images.Count * processor.PixelValueCount <= MemoryLimit;
        _resized = new RgbImage?[_keep ? dataset.Images.Count : 0];
    }

    public ImageFolderDataset Dataset { get; }

    public int Count => Dataset.Images.Count;

    /// <summary>Fills a batch.</summary>
    /// <param name="indices">The images.</param>
    /// <param name="shifts">How each image is shifted and flipped; null for none.</param>
    /// <param name="pixelValues">Receives [indices, 3, height, width].</param>
    /// <param name="labels">Receives [indices].</param>
    public void Fill(int[] indices, ImageShift[]? shifts, float[] pixelValues, long[] labels)
    {
        int length = _processor.PixelValueCount;
        ParallelLoop.For(indices.Length, i =>
        {
            RgbImage image = Resized(indices[i]);
            if (shifts is not null)
                image = shifts[i].Apply(image);
            _processor.Preprocess(image, pixelValues.AsSpan(i * length, length));
            labels[i] = Dataset.Images[indices[i]].Label;
        });
    }

    private RgbImage Resized(int index)
    {
        if (_keep && Volatile.Read(ref _resized[index]) is { } kept)
            return kept;

        RgbImage image = Resize(Dataset.Images[index].Path);
        if (_keep)
            Volatile.Write(ref _resized[index], image);
        return image;
    }

    private RgbImage Resize(string path)
    {
        var image = RgbImage.Load(path);
        try
        {
            return _processor.Resize(image);
        }
        catch (ArgumentException e)
        {
            throw UnfitImage.Named($"'{path}'", e);
        }
    }
}
