using System.Globalization;
using System.Net;
using SkiaSharp;

namespace Siglip.Core;

/// <summary>An image in memory: 8-bit red, green and blue, row-major, without padding.</summary>
public sealed class RgbImage
{
    /// <summary>The most pixels a decoded image may have: 178,956,970, twice Pillow's
    /// <c>MAX_IMAGE_PIXELS</c>: beyond it Pillow refuses an image as a decompression bomb.</summary>
    public const int MaxPixels = 1024 * 1024 * 1024 / 4 / 3 * 2;

    /// <summary>The longest side a decoded image may have, in pixels: that of JPEG.</summary>
    public const int MaxSide = 65_535;

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
        {
            throw new ArgumentException(
                string.Create(CultureInfo.InvariantCulture, $"{pixels.LongLength:N0} bytes for {width} x {height} pixels, expected {3L * width * height:N0}."),
                nameof(pixels));
        }

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
    /// <param name="path">A JPEG, PNG, WebP, GIF (first frame) or BMP file.</param>
    /// <param name="applyExifOrientation">Whether to turn the image as its EXIF data say, as <c>ImageOps.exif_transpose</c>.</param>
    /// <returns>The pixels as stored: no colour management, alpha dropped without blending, as Pillow's <c>convert("RGB")</c>.</returns>
    /// <exception cref="ArgumentException"><paramref name="path"/> is null or empty.</exception>
    /// <exception cref="FileNotFoundException">There is no such file, or it is a folder.</exception>
    /// <exception cref="InvalidDataException">
    /// It is no image, a damaged or truncated one, or one that exceeds <see cref="MaxSide"/> or <see cref="MaxPixels"/>.
    /// </exception>
    /// <exception cref="InvalidOperationException">The native library of SkiaSharp is missing; the message names its package.</exception>
    /// <exception cref="IOException">The file cannot be read, for example because another process has locked it.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be read.</exception>
    public static RgbImage Load(string path, bool applyExifOrientation = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return Decode(ReadFile(path), $"'{path}'", applyExifOrientation);
    }

    /// <summary>Decodes an encoded image.</summary>
    /// <param name="encoded">The bytes of a JPEG, PNG, WebP, GIF (first frame) or BMP file.</param>
    /// <param name="source">What error messages call it, such as the file's path.</param>
    /// <param name="applyExifOrientation">Whether to turn the image as its EXIF data say, as <c>ImageOps.exif_transpose</c>.</param>
    /// <returns>The pixels as stored: no colour management, alpha dropped without blending, as Pillow's <c>convert("RGB")</c>.</returns>
    /// <exception cref="InvalidDataException">
    /// It is no image, a damaged or truncated one, or one that exceeds <see cref="MaxSide"/> or <see cref="MaxPixels"/>.
    /// </exception>
    /// <exception cref="InvalidOperationException">The native library of SkiaSharp is missing; the message names its package.</exception>
    public static RgbImage Decode(ReadOnlyMemory<byte> encoded, string source = "the image", bool applyExifOrientation = false)
    {
        ArgumentNullException.ThrowIfNull(source);
        return ImageDecoder.Decode(encoded, source, new ImageReading(applyExifOrientation));
    }

    /// <summary>The image as a PNG file.</summary>
    /// <exception cref="InvalidOperationException">The native library of SkiaSharp is missing; the message names its package.</exception>
    public byte[] ToPng()
    {
        using SKBitmap bitmap = SkiaPixels.ToBitmap(this);
        using SKData png = bitmap.Encode(SKEncodedImageFormat.Png, 100);
        return png.ToArray();
    }

    /// <summary>The image as HTML, for a notebook or a page: an <c>img</c> element that holds all of it.</summary>
    /// <param name="description">What it shows, for those who do not see it.</param>
    /// <returns>The element; pixels stay sharp when it is enlarged, and it shrinks with the page.</returns>
    public string ToHtml(string description = "")
    {
        ArgumentNullException.ThrowIfNull(description);
        return $"<img src=\"data:image/png;base64,{Convert.ToBase64String(ToPng())}\" alt=\"{WebUtility.HtmlEncode(description)}\" "
            + $"width=\"{Width}\" height=\"{Height}\" style=\"max-width:100%;height:auto;image-rendering:pixelated\">";
    }

    /// <summary>The bytes of an image file.</summary>
    /// <exception cref="IOException">The file is missing or cannot be read.</exception>
    internal static byte[] ReadFile(string path)
    {
        string fullPath = Path.GetFullPath(path);
        if (Directory.Exists(fullPath))
        {
            throw new FileNotFoundException(
                $"'{fullPath}' is a folder, expected an image file. Name the files in it one by one.", fullPath);
        }

        if (!File.Exists(fullPath))
            throw new FileNotFoundException($"The image '{fullPath}' does not exist. Check the path.", fullPath);
        try
        {
            return File.ReadAllBytes(fullPath);
        }
        catch (UnauthorizedAccessException refusal)
        {
            throw new UnauthorizedAccessException($"The image '{fullPath}' may not be read. Check its permissions.", refusal);
        }
        catch (IOException failure)
        {
            throw new IOException($"The image '{fullPath}' cannot be read: {failure.Message}", failure);
        }
    }
}
