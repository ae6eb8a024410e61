using Microsoft.ML.Data;
using Siglip.Core;

namespace Siglip.MLNet;

/// <summary><see cref="MLImage"/> to <see cref="RgbImage"/>.</summary>
internal static class MLImagePixels
{
    /// <summary>Copies the colors; alpha is dropped, as Pillow's <c>convert("RGB")</c> does.</summary>
    /// <remarks>ML.NET's pixels are multiplied by alpha, so dark and transparent ones come back only roughly, and fully transparent
    /// ones are black. Columns of paths or bytes have no such loss.</remarks>
    public static RgbImage ToRgb(MLImage image)
    {
        ReadOnlySpan<byte> source = image.Pixels;
        byte[] pixels = new byte[source.Length / 4 * 3];
        int red = image.PixelFormat == MLPixelFormat.Bgra32 ? 2 : 0;
        for (int from = 0, to = 0; from < source.Length; from += 4, to += 3)
        {
            byte alpha = source[from + 3];
            pixels[to] = Unpremultiply(source[from + red], alpha);
            pixels[to + 1] = Unpremultiply(source[from + 1], alpha);
            pixels[to + 2] = Unpremultiply(source[from + 2 - red], alpha);
        }

        return new RgbImage(image.Width, image.Height, pixels);
    }

    /// <summary>A copy that the caller owns.</summary>
    public static MLImage Clone(MLImage image)
    {
        MLImage clone = MLImage.CreateFromPixels(image.Width, image.Height, image.PixelFormat, image.Pixels);
        clone.Tag = image.Tag;
        return clone;
    }

    private static byte Unpremultiply(byte value, byte alpha) => alpha switch
    {
        255 => value,
        0 => 0,
        _ => (byte)Math.Min(255, ((value * 255) + (alpha / 2)) / alpha),
    };
}
