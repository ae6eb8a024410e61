namespace Siglip.Core;

/// <summary>An augmentation: the image is moved, what comes in from outside is black, and perhaps flipped left to right.</summary>
/// <param name="Right">Pixels to the right; negative: to the left.</param>
/// <param name="Down">Pixels down; negative: up.</param>
/// <param name="Flip">Whether to flip left to right, after the move.</param>
/// <remarks>The same as a random crop of the image padded with black.</remarks>
internal readonly record struct ImageShift(int Right, int Down, bool Flip)
{
    public static ImageShift Draw(Random random, int height, int width, SiglipAugmentationOptions options)
    {
        int most = options.MaxShift == 0 ? 0 : Math.Max(1, (int)(Math.Min(height, width) * options.MaxShift));
        return new ImageShift(random.Next(-most, most + 1), random.Next(-most, most + 1), random.NextDouble() < options.FlipProbability);
    }

    public RgbImage Apply(RgbImage image)
    {
        if (this == default)
            return image;
        (int width, int height) = (image.Width, image.Height);
        byte[] result = new byte[image.Data.Length]; // black
        for (int y = Math.Max(0, Down); y < Math.Min(height, height + Down); y++)
        {
            ReadOnlySpan<byte> from = image.Data.Slice((y - Down) * width * 3, width * 3);
            Span<byte> to = result.AsSpan(y * width * 3, width * 3);
            for (int x = Math.Max(0, Right); x < Math.Min(width, width + Right); x++)
            {
                int target = Flip ? width - 1 - x : x;
                from.Slice((x - Right) * 3, 3).CopyTo(to[(target * 3)..]);
            }
        }

        return new RgbImage(width, height, result);
    }
}
