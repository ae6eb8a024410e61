using System.Globalization;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The images of class folders in batches: shuffled and perhaps augmented to learn from, in their order to measure with.</summary>
internal sealed class FolderTrainingSource : ITrainingSource
{
    private readonly TrainingImages _images;
    private readonly SiglipImageProcessor _processor;
    private readonly SiglipTrainingOptions _options;
    private readonly bool _learn;

    private FolderTrainingSource(ImageFolderDataset dataset, SiglipImageProcessor processor, SiglipTrainingOptions options, bool learn)
    {
        (_images, _processor, _options, _learn) = (new TrainingImages(dataset, processor), processor, options, learn);
        long batch = Math.Min(options.BatchSize, Count);
        if (batch * processor.PixelValueCount > Array.MaxLength)
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"A batch of {batch:N0} images is too large, expected at most "
                + $"{Array.MaxLength / processor.PixelValueCount:N0}; choose a smaller batch size."));
    }

    public int Count => _images.Count;

    public IReadOnlyList<string> Labels => _images.Dataset.Labels;

    public static FolderTrainingSource ToLearnFrom(ImageFolderDataset dataset, SiglipImageProcessor processor, SiglipTrainingOptions options) =>
        new(dataset, processor, options, learn: true);

    public static FolderTrainingSource ToMeasureWith(ImageFolderDataset dataset, SiglipImageProcessor processor, SiglipTrainingOptions options) =>
        new(dataset, processor, options, learn: false);

    public IEnumerable<TrainingBatch> Batches(int epoch, int firstBatch, CancellationToken cancellationToken)
    {
        int[] order = [.. Enumerable.Range(0, Count)];
        if (_learn)
            new Random(StableSeed.Of(_options.Seed, epoch)).Shuffle(order);
        foreach (int[] batch in order.Chunk(_options.BatchSize).Skip(firstBatch))
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return Batch(batch, _learn && _options.Augment ? [.. batch.Select(image => Shift(epoch, image))] : null);
        }
    }

    private ImageShift Shift(int epoch, int image) =>
        ImageShift.Draw(new Random(StableSeed.Of(_options.Seed, epoch, image)), _processor.Config.Height, _processor.Config.Width);

    private TrainingBatch Batch(int[] batch, ImageShift[]? shifts)
    {
        float[] pixelValues = new float[batch.Length * _processor.PixelValueCount];
        long[] labels = new long[batch.Length];
        _images.Fill(batch, shifts, pixelValues, labels);
        float[] targets = new float[batch.Length * Labels.Count];
        for (int i = 0; i < batch.Length; i++)
            targets[(i * Labels.Count) + labels[i]] = 1;
        return new TrainingBatch(
            tensor(pixelValues, [batch.Length, 3, _processor.Config.Height, _processor.Config.Width]), tensor(targets, [batch.Length, Labels.Count]));
    }
}
