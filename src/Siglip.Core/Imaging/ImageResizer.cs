using System.Buffers;
using System.Globalization;

namespace Siglip.Core;

/// <summary>Resizes images the same to the last bit as Pillow's <c>Image.resize</c>.</summary>
/// <remarks>
/// Source: Pillow, src/libImaging/Resample.c. Columns first, then rows; what lies between is rounded to 8 bits, as there. The filters
/// widen with the reduction (antialiasing).
/// </remarks>
public static class ImageResizer
{
    private const int Channels = 3;

    // Half of the unit of the weights: adding it before the shift rounds to the nearest grey level.
    private const int Half = 1 << (ResamplingWeights.FractionBits - 1);

    /// <summary>Resizes an image; the aspect ratio is not kept and nothing is cropped.</summary>
    /// <param name="image">RGB, 8 bits per channel, at least 1 x 1 pixel.</param>
    /// <param name="width">Width of the result in pixels, from 1 to <see cref="RgbImage.MaxSide"/>.</param>
    /// <param name="height">Height of the result in pixels, from 1 to <see cref="RgbImage.MaxSide"/>.</param>
    /// <param name="resampling">The filter.</param>
    /// <returns>An image of width × height pixels; <paramref name="image"/> itself if it has this size.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="image"/> is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A side is out of range, there are more than <see cref="RgbImage.MaxPixels"/> pixels in the result or in what lies
    /// between (<paramref name="width"/> × the image's height), or there is no such filter.
    /// </exception>
    public static RgbImage Resize(RgbImage image, int width, int height, ImageResampling resampling)
    {
        ArgumentNullException.ThrowIfNull(image);
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

        // An axis that keeps its size is skipped: weights of 1 would give the same, but cost a pass.
        bool columns = width != image.Width, rows = height != image.Height;
        if (!columns && !rows)
            return image;
        var result = new byte[width * height * Channels];
        if (!rows)
        {
            ResizeColumns(image.Data, image.Width, result, width, image.Height, resampling);
        }
        else if (!columns)
        {
            ResizeRows(image.Data, image.Height, result, height, width, resampling);
        }
        else
        {
            int length = width * image.Height * Channels;
            byte[] rented = ArrayPool<byte>.Shared.Rent(length);
            Span<byte> narrowed = rented.AsSpan(0, length); // [image height, width, channels]
            ResizeColumns(image.Data, image.Width, narrowed, width, image.Height, resampling);
            ResizeRows(narrowed, image.Height, result, height, width, resampling);
            ArrayPool<byte>.Shared.Return(rented);
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

    // [height, source width, channels] to [height, width, channels]
    private static void ResizeColumns(
        ReadOnlySpan<byte> source, int sourceWidth, Span<byte> destination, int width, int height, ImageResampling resampling)
    {
        var weights = new ResamplingWeights(sourceWidth, width, resampling);
        for (int y = 0; y < height; y++)
        {
            ReadOnlySpan<byte> sourceRow = source.Slice(y * sourceWidth * Channels, sourceWidth * Channels);
            Span<byte> row = destination.Slice(y * width * Channels, width * Channels);
            for (int x = 0; x < width; x++)
            {
                ReadOnlySpan<int> window = weights.Of(x, out int first);
                ReadOnlySpan<byte> pixels = sourceRow.Slice(first * Channels, window.Length * Channels);
                int red = Half, green = Half, blue = Half;
                for (int k = 0, i = 0; k < window.Length; k++, i += Channels)
                {
                    int weight = window[k];
                    red += pixels[i] * weight;
                    green += pixels[i + 1] * weight;
                    blue += pixels[i + 2] * weight;
                }

                int to = x * Channels;
                row[to] = ToGreyLevel(red);
                row[to + 1] = ToGreyLevel(green);
                row[to + 2] = ToGreyLevel(blue);
            }
        }
    }

    // [source height, width, channels] to [height, width, channels]
    private static void ResizeRows(
        ReadOnlySpan<byte> source, int sourceHeight, Span<byte> destination, int height, int width, ImageResampling resampling)
    {
        var weights = new ResamplingWeights(sourceHeight, height, resampling);
        int stride = width * Channels;
        int[] rented = ArrayPool<int>.Shared.Rent(stride);
        Span<int> sums = rented.AsSpan(0, stride);
        for (int y = 0; y < height; y++)
        {
            // Whole source rows are added up, so that memory is read in order.
            ReadOnlySpan<int> window = weights.Of(y, out int first);
            sums.Fill(Half);
            for (int k = 0; k < window.Length; k++)
            {
                int weight = window[k];
                ReadOnlySpan<byte> sourceRow = source.Slice((first + k) * stride, stride);
                for (int i = 0; i < sums.Length; i++)
                    sums[i] += sourceRow[i] * weight;
            }

            Span<byte> row = destination.Slice(y * stride, stride);
            for (int i = 0; i < row.Length; i++)
                row[i] = ToGreyLevel(sums[i]);
        }

        ArrayPool<int>.Shared.Return(rented);
    }

    private static byte ToGreyLevel(int sum) => (byte)Math.Clamp(sum >> ResamplingWeights.FractionBits, 0, 255);
}
