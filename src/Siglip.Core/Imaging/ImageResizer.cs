using System.Globalization;

namespace Siglip.Core;

/// <summary>Resizes images the same to the last bit as Pillow's <c>Image.resize</c>, or as torchvision's <c>resize</c> with antialiasing.</summary>
/// <remarks>
/// Sources: Pillow, src/libImaging/Resample.c; PyTorch, aten/src/ATen/native/cpu/UpSampleKernelAVXAntialias.h. Columns first, then rows; what lies
/// between is rounded to 8 bits, as there. The filters widen with the reduction (antialiasing). The sums are integers, so their order does not matter and
/// vectors give the same bits. The two differ in the precision of their weights: see <see cref="ResamplingWeights"/>.
/// </remarks>
public static class ImageResizer
{
    private const int Channels = 3;

    /// <summary>Resizes an image; the aspect ratio is not kept and nothing is cropped.</summary>
    /// <param name="image">RGB, 8 bits per channel, at least 1 x 1 pixel.</param>
    /// <param name="width">Width of the result in pixels, from 1 to <see cref="RgbImage.MaxSide"/>.</param>
    /// <param name="height">Height of the result in pixels, from 1 to <see cref="RgbImage.MaxSide"/>.</param>
    /// <param name="resampling">The filter.</param>
    /// <param name="backend">Whose pixels.</param>
    /// <returns>An image of width × height pixels; <paramref name="image"/> itself if it has this size.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="image"/> is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A side is out of range, there are more than <see cref="RgbImage.MaxPixels"/> pixels in the result or in what lies
    /// between (<paramref name="width"/> × the image's height), or there is no such filter or backend.
    /// </exception>
    public static RgbImage Resize(
        RgbImage image, int width, int height, ImageResampling resampling, SiglipImageBackend backend = SiglipImageBackend.Pillow)
    {
        ArgumentNullException.ThrowIfNull(image);
        using var rows = new ImageRows(image);
        return Resize(rows, width, height, resampling, backend);
    }

    /// <inheritdoc cref="Resize(RgbImage, int, int, ImageResampling, SiglipImageBackend)"/>
    /// <param name="image">None of its rows may have been handed out.</param>
    /// <param name="width">Width of the result.</param>
    /// <param name="height">Height of the result.</param>
    /// <param name="resampling">The filter.</param>
    /// <param name="backend">Whose pixels.</param>
    /// <exception cref="InvalidDataException">The pixels are damaged.</exception>
    internal static RgbImage Resize(PixelRows image, int width, int height, ImageResampling resampling, SiglipImageBackend backend)
    {
        CheckSide(width, nameof(width));
        CheckSide(height, nameof(height));
        if ((long)width * height > RgbImage.MaxPixels)
        {
            throw new ArgumentOutOfRangeException(nameof(height), height, TooMany(width, height));
        }

        if (height != image.Height && (long)width * image.Height > RgbImage.MaxPixels)
        {
            throw new ArgumentOutOfRangeException(
                nameof(width), width, $"On the way to this size, with the columns resized and the rows not yet, {TooMany(width, image.Height)}");
        }

        if (resampling is not (ImageResampling.Bilinear or ImageResampling.Bicubic))
            throw new ArgumentOutOfRangeException(nameof(resampling), resampling, "Expected Bilinear (2) or Bicubic (3).");
        if (!Enum.IsDefined(backend))
            throw new ArgumentOutOfRangeException(nameof(backend), backend, "Expected Pillow (0) or Torchvision (1).");

        return Resize(image, width, height, resampling, backend, ResizerCodes.Fastest);
    }

    /// <summary>Resizes with code of the given kind; all kinds give the same pixels.</summary>
    /// <param name="image">At least 1 x 1 pixel; none of its rows may have been handed out.</param>
    /// <param name="width">At least 1.</param>
    /// <param name="height">At least 1; the pixels fit into one array.</param>
    /// <param name="resampling">Bilinear or bicubic.</param>
    /// <param name="backend">Pillow or torchvision.</param>
    /// <param name="code">Must be supported by the processor.</param>
    internal static RgbImage Resize(
        RgbImage image, int width, int height, ImageResampling resampling, SiglipImageBackend backend, ResizerCode code)
    {
        using var rows = new ImageRows(image);
        return Resize(rows, width, height, resampling, backend, code);
    }

    /// <inheritdoc cref="Resize(RgbImage, int, int, ImageResampling, SiglipImageBackend, ResizerCode)"/>
    /// <exception cref="InvalidDataException">The pixels are damaged.</exception>
    internal static RgbImage Resize(
        PixelRows image, int width, int height, ImageResampling resampling, SiglipImageBackend backend, ResizerCode code)
    {
        if (width == image.Width && height == image.Height)
            return image.ToImage();

        // An axis that keeps its size is skipped: weights of 1 would give the same, but cost a pass.
        ResamplingWeights? rows = height == image.Height ? null : new ResamplingWeights(image.Height, height, resampling, backend);
        using var columns = new ColumnPass(image, width, resampling, backend, rows?.LongestWindow ?? 1, code);
        var result = new byte[width * height * Channels];
        for (int y = 0; y < height; y++)
        {
            Span<byte> row = result.AsSpan(y * width * Channels, width * Channels);
            if (rows is null)
            {
                columns.Rows(y, 1)[..row.Length].CopyTo(row);
                continue;
            }

            ReadOnlySpan<int> window = rows.Of(y, out int first);
            RowPass.Resize(columns.Rows(first, window.Length), columns.Stride, rows, window, row, code);
        }

        return new RgbImage(width, height, result);
    }

    private static string TooMany(int width, int height) =>
        string.Create(CultureInfo.InvariantCulture, $"{width} x {height} pixels are too many, expected at most {RgbImage.MaxPixels:N0}.");

    private static void CheckSide(int side, string name)
    {
        if (side is < 1 or > RgbImage.MaxSide)
            throw new ArgumentOutOfRangeException(name, side, $"Expected a side from 1 to {RgbImage.MaxSide} pixels.");
    }
}
