namespace Siglip.Core;

/// <summary>Mixup or CutMix of a batch: each image with the one before it, the first with the last.</summary>
/// <param name="Share">Of the image itself; the rest is the other's.</param>
/// <param name="Box">What comes from the other image; null for mixup, which blends all pixels.</param>
/// <remarks>Source: torchvision, transforms/v2/_augment.py, MixUp and CutMix.</remarks>
internal sealed record BatchMix(double Share, ImageCrop? Box)
{
    /// <summary>Draws how a batch is mixed; null if it is not.</summary>
    public static BatchMix? Draw(Random random, int width, int height, SiglipAugmentationOptions options)
    {
        if ((options.MixupAlpha == 0 && options.CutMixAlpha == 0) || random.NextDouble() >= options.MixProbability)
            return null;
        bool cut = options.MixupAlpha == 0 || (options.CutMixAlpha > 0 && random.Next(2) == 1);
        double share = BetaDistribution.Draw(random, cut ? options.CutMixAlpha : options.MixupAlpha);
        if (!cut)
            return new BatchMix(share, null);

        // A rectangle around a random point, cut off at the edges; the share is that of its real area.
        int x = random.Next(width), y = random.Next(height);
        double half = 0.5 * Math.Sqrt(1 - share);
        int halfWidth = (int)(half * width), halfHeight = (int)(half * height);
        (int left, int top) = (Math.Max(0, x - halfWidth), Math.Max(0, y - halfHeight));
        var box = new ImageCrop(left, top, Math.Min(width, x + halfWidth) - left, Math.Min(height, y + halfHeight) - top);
        return new BatchMix(1 - ((double)box.Width * box.Height / ((double)width * height)), box);
    }

    /// <summary>Mixes a batch in place.</summary>
    /// <param name="pixelValues">[batch, 3, height, width].</param>
    /// <param name="targets">[batch, classes].</param>
    /// <param name="count">Images.</param>
    /// <param name="width">Of an image.</param>
    public void Apply(Span<float> pixelValues, Span<float> targets, int count, int width)
    {
        Rows(pixelValues, count, Box is { } box ? (image, other) => Paste(image, other, width, box) : Blend);
        Rows(targets, count, Blend);
    }

    private static void Paste(Span<float> image, ReadOnlySpan<float> other, int width, ImageCrop box)
    {
        int plane = image.Length / 3;
        for (int channel = 0; channel < 3; channel++)
        {
            for (int y = box.Top; y < box.Top + box.Height; y++)
            {
                int start = (channel * plane) + (y * width) + box.Left;
                other.Slice(start, box.Width).CopyTo(image[start..]);
            }
        }
    }

    private void Blend(Span<float> values, ReadOnlySpan<float> others)
    {
        (float share, float rest) = ((float)Share, (float)(1 - Share));
        for (int i = 0; i < values.Length; i++)
            values[i] = (values[i] * share) + (others[i] * rest);
    }

    // From the last row to the first, so that the row before is still as it was; the first needs a copy of the last.
    private static void Rows(Span<float> rows, int count, RowAction action)
    {
        int length = rows.Length / count;
        float[] last = rows[^length..].ToArray();
        for (int i = count - 1; i >= 0; i--)
            action(rows.Slice(i * length, length), i > 0 ? rows.Slice((i - 1) * length, length) : last);
    }

    private delegate void RowAction(Span<float> row, ReadOnlySpan<float> before);
}
