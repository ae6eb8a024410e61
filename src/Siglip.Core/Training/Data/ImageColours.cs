namespace Siglip.Core;

/// <summary>Changes of an image's colours, the same to the last bit as those of Pillow's ImageEnhance and ImageOps.</summary>
/// <remarks>
/// Sources: Pillow, src/PIL/ImageEnhance.py, ImageOps.py and ImageStat.py; src/libImaging/Blend.c, Convert.c and Filter.c. A factor of 1 changes nothing;
/// the image is blended with a poorer one (black, grey, blurred), and above 1 moved away from it.
/// </remarks>
internal static class ImageColours
{
    /// <summary>ImageEnhance.Brightness: 0 is black.</summary>
    public static RgbImage Brightness(RgbImage image, double factor) => Mapped(image, BlendTable(0, (float)factor));

    /// <summary>ImageEnhance.Contrast: 0 is the mean grey level.</summary>
    public static RgbImage Contrast(RgbImage image, double factor)
    {
        long sum = 0;
        ReadOnlySpan<byte> data = image.Data;
        for (int i = 0; i < data.Length; i += 3)
            sum += Grey(data, i);
        return Mapped(image, BlendTable((byte)((double)sum / (data.Length / 3) + 0.5), (float)factor));
    }

    /// <summary>ImageEnhance.Color: 0 is grey.</summary>
    public static RgbImage Saturation(RgbImage image, double factor)
    {
        float alpha = (float)factor;
        ReadOnlySpan<byte> data = image.Data;
        byte[] result = new byte[data.Length];
        for (int i = 0; i < data.Length; i += 3)
        {
            byte grey = Grey(data, i);
            for (int channel = i; channel < i + 3; channel++)
                result[channel] = Blend(grey, data[channel], alpha);
        }

        return new RgbImage(image.Width, image.Height, result);
    }

    /// <summary>ImageEnhance.Sharpness: 0 is blurred by ImageFilter.SMOOTH, which leaves the outermost pixels as they are.</summary>
    public static RgbImage Sharpness(RgbImage image, double factor)
    {
        float alpha = (float)factor;
        ReadOnlySpan<byte> data = image.Data;
        byte[] result = data.ToArray();
        int stride = image.Width * 3;
        for (int y = 1; y < image.Height - 1; y++)
        {
            for (int i = (y * stride) + 3; i < ((y + 1) * stride) - 3; i++)
            {
                int sum = data[i - stride - 3] + data[i - stride] + data[i - stride + 3]
                    + data[i - 3] + (5 * data[i]) + data[i + 3]
                    + data[i + stride - 3] + data[i + stride] + data[i + stride + 3];

                // Thirteenths, rounded. Pillow divides in float32; no sum is near enough to a half for that to matter.
                result[i] = Blend((byte)(((2 * sum) + 13) / 26), data[i], alpha);
            }
        }

        return new RgbImage(image.Width, image.Height, result);
    }

    /// <summary>ImageOps.posterize.</summary>
    /// <param name="image">The image.</param>
    /// <param name="bits">The upper bits to keep, 1 to 8.</param>
    public static RgbImage Posterize(RgbImage image, int bits) => Mapped(image, Table(level => level & ~((1 << (8 - bits)) - 1)));

    /// <summary>ImageOps.solarize: levels from the threshold on are inverted.</summary>
    public static RgbImage Solarize(RgbImage image, double threshold) => Mapped(image, Table(level => level < threshold ? level : 255 - level));

    /// <summary>ImageOps.autocontrast: each channel from 0 to 255.</summary>
    public static RgbImage AutoContrast(RgbImage image) => MappedByChannel(image, counts =>
    {
        int lowest = Array.FindIndex(counts, count => count > 0), highest = Array.FindLastIndex(counts, count => count > 0);
        if (highest <= lowest)
            return Table(level => level);
        double scale = 255.0 / (highest - lowest), offset = -lowest * scale;
        return Table(level => Math.Clamp((int)((level * scale) + offset), 0, 255));
    });

    /// <summary>ImageOps.equalize: all levels of a channel about equally often.</summary>
    public static RgbImage Equalize(RgbImage image) => MappedByChannel(image, counts =>
    {
        int step = (counts.Sum() - counts.Last(count => count > 0)) / 255; // 0 if there is one level only
        if (step == 0)
            return Table(level => level);
        int sum = step / 2;
        byte[] table = new byte[256];
        for (int level = 0; level < table.Length; level++)
        {
            table[level] = (byte)Math.Min(sum / step, 255);
            sum += counts[level];
        }

        return table;
    });

    // convert("L")
    private static byte Grey(ReadOnlySpan<byte> rgb, int i) => (byte)(((rgb[i] * 19595) + (rgb[i + 1] * 38470) + (rgb[i + 2] * 7471) + 0x8000) >> 16);

    // Image.blend: in float32, cut off, not rounded.
    private static byte Blend(byte poorer, byte level, float alpha)
    {
        float blended = poorer + (alpha * (level - poorer));
        return blended <= 0 ? (byte)0 : blended >= 255 ? (byte)255 : (byte)blended;
    }

    private static byte[] BlendTable(byte poorer, float alpha) => Table(level => Blend(poorer, (byte)level, alpha));

    private static byte[] Table(Func<int, int> map) => [.. Enumerable.Range(0, 256).Select(level => (byte)map(level))];

    private static RgbImage Mapped(RgbImage image, byte[] table)
    {
        ReadOnlySpan<byte> data = image.Data;
        byte[] result = new byte[data.Length];
        for (int i = 0; i < result.Length; i++)
            result[i] = table[data[i]];
        return new RgbImage(image.Width, image.Height, result);
    }

    private static RgbImage MappedByChannel(RgbImage image, Func<int[], byte[]> table)
    {
        ReadOnlySpan<byte> data = image.Data;
        byte[] result = new byte[data.Length];
        for (int channel = 0; channel < 3; channel++)
        {
            int[] counts = new int[256];
            for (int i = channel; i < data.Length; i += 3)
                counts[data[i]]++;
            byte[] levels = table(counts);
            for (int i = channel; i < data.Length; i += 3)
                result[i] = levels[data[i]];
        }

        return new RgbImage(image.Width, image.Height, result);
    }
}
