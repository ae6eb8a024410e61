using SkiaSharp;

namespace Siglip.Core;

/// <summary>An image in memory: 8-bit red, green and blue, row-major, without padding.</summary>
public sealed class RgbImage
{
    /// <summary>Wraps pixels; they are not copied.</summary>
    /// <param name="width">At least 1.</param>
    /// <param name="height">At least 1.</param>
    /// <param name="pixels">Width × height × 3 bytes.</param>
    /// <exception cref="ArgumentException">The sizes do not fit the pixels.</exception>
    public RgbImage(int width, int height, byte[] pixels)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        ArgumentNullException.ThrowIfNull(pixels);
        if (pixels.LongLength != 3L * width * height)
            throw new ArgumentException($"{pixels.LongLength:N0} bytes for {width} x {height} pixels, expected {3L * width * height:N0}.", nameof(pixels));
        (Width, Height, Pixels) = (width, height, pixels);
    }

    /// <summary>Width in pixels.</summary>
    public int Width { get; }

    /// <summary>Height in pixels.</summary>
    public int Height { get; }

    internal byte[] Pixels { get; }

    /// <summary>The pixels: red, green, blue of the first pixel of the first row, then of the next one.</summary>
    public ReadOnlySpan<byte> Data => Pixels;

    /// <summary>Reads an image file.</summary>
    /// <param name="path">A JPEG, PNG, WebP, GIF or BMP file.</param>
    /// <param name="applyExifOrientation">Whether to turn the image as its EXIF data say.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is no image, or a damaged one.</exception>
    public static RgbImage Load(string path, bool applyExifOrientation = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!File.Exists(path))
            throw new FileNotFoundException($"The image '{Path.GetFullPath(path)}' does not exist.", path);
        return Decode(File.ReadAllBytes(path), $"'{path}'", applyExifOrientation);
    }

    /// <summary>Decodes an encoded image.</summary>
    /// <param name="encoded">The bytes of a JPEG, PNG, WebP, GIF or BMP file.</param>
    /// <param name="source">What error messages call it.</param>
    /// <param name="applyExifOrientation">Whether to turn the image as its EXIF data say.</param>
    /// <exception cref="InvalidDataException">It is no image, or a damaged one.</exception>
    public static RgbImage Decode(ReadOnlyMemory<byte> encoded, string source = "the image", bool applyExifOrientation = false)
    {
        using SKData data = SKData.CreateCopy(encoded.Span);
        using SKCodec codec = SKCodec.Create(data) ?? throw new InvalidDataException($"{source} is not an image.");
        var info = new SKImageInfo(codec.Info.Width, codec.Info.Height, SKColorType.Rgba8888, SKAlphaType.Unpremul);
        byte[] rgba = new byte[info.BytesSize];
        unsafe
        {
            fixed (byte* start = rgba)
            {
                if (codec.GetPixels(info, (nint)start) != SKCodecResult.Success)
                    throw new InvalidDataException($"{source} is damaged.");
            }
        }

        byte[] pixels = new byte[info.Width * info.Height * 3];
        for (int from = 0, to = 0; from < rgba.Length; from += 4, to += 3)
            (pixels[to], pixels[to + 1], pixels[to + 2]) = (rgba[from], rgba[from + 1], rgba[from + 2]);
        return new RgbImage(info.Width, info.Height, pixels);
    }
}
