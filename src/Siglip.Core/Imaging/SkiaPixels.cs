using SkiaSharp;

namespace Siglip.Core;

/// <summary>Images as SkiaSharp has them.</summary>
internal static class SkiaPixels
{
    private const int BytesPerPixel = 4;

    /// <returns>A bitmap that the caller owns.</returns>
    /// <exception cref="InvalidOperationException">The native library of SkiaSharp is missing.</exception>
    public static SKBitmap NewBitmap(int width, int height) =>
        SkiaNative.Load(() => new SKBitmap(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Opaque)));

    /// <inheritdoc cref="NewBitmap"/>
    public static unsafe SKBitmap ToBitmap(RgbImage image)
    {
        SKBitmap bitmap = NewBitmap(image.Width, image.Height);
        var to = new Span<byte>((void*)bitmap.GetPixels(), bitmap.ByteCount);
        ReadOnlySpan<byte> from = image.Data;
        for (int i = 0, j = 0; i < from.Length; i += 3, j += BytesPerPixel)
        {
            from.Slice(i, 3).CopyTo(to[j..]);
            to[j + 3] = byte.MaxValue;
        }

        return bitmap;
    }

    /// <param name="bitmap">From <see cref="NewBitmap"/>.</param>
    public static RgbImage ToImage(SKBitmap bitmap)
    {
        ReadOnlySpan<byte> from = bitmap.GetPixelSpan();
        byte[] pixels = new byte[from.Length / BytesPerPixel * 3];
        for (int i = 0, j = 0; i < pixels.Length; i += 3, j += BytesPerPixel)
            from.Slice(j, 3).CopyTo(pixels.AsSpan(i));
        return new RgbImage(bitmap.Width, bitmap.Height, pixels);
    }
}
