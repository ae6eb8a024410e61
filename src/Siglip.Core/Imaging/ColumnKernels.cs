using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Siglip.Core;

/// <summary>Resizes the columns of a few rows. Weights and window of a pixel serve all rows of the block.</summary>
internal static class ColumnKernels
{
    /// <summary>Number of rows in a block.</summary>
    public const int Rows = 4;

    /// <summary>How many bytes behind the last row are read at most: 16 are loaded for a group of weights that begins at its last pixel.
    /// </summary>
    public const int Slack = 16;

    private const int Channels = 3;

    /// <summary>Resizes the columns of a block of rows.</summary>
    /// <param name="source">[<see cref="Rows"/>, sourceStride], then <see cref="Slack"/> bytes that are read and have no effect.</param>
    /// <param name="sourceStride">Bytes of a source row.</param>
    /// <param name="destination">[<see cref="Rows"/>, stride]</param>
    /// <param name="stride">Bytes from a row of the result to the next one, more than it has.</param>
    /// <param name="width">Pixels of a row of the result.</param>
    /// <param name="weights">The weights for this width.</param>
    /// <param name="code">How to compute.</param>
    public static unsafe void Resize(
        ReadOnlySpan<byte> source,
        int sourceStride,
        Span<byte> destination,
        int stride,
        int width,
        ResamplingWeights weights,
        ResizerCode code)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(source.Length, (Rows * sourceStride) + Slack);
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, Rows * stride);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(stride, width * Channels);
        fixed (byte* from = source, to = destination)
        {
            switch (code)
            {
                case ResizerCode.Avx2:
                    ResizeAvx2(from, sourceStride, to, stride, width, weights);
                    break;
                case ResizerCode.Vector:
                    ResizeVector(from, sourceStride, to, stride, width, weights);
                    break;
                default:
                    for (int row = 0; row < Rows; row++)
                        ResizeScalar(source[(row * sourceStride)..], destination[(row * stride)..], width, weights);
                    break;
            }
        }
    }

    private static void ResizeScalar(ReadOnlySpan<byte> source, Span<byte> destination, int width, ResamplingWeights weights)
    {
        for (int x = 0; x < width; x++)
        {
            ReadOnlySpan<int> window = weights.Of(x, out int first);
            ReadOnlySpan<byte> pixels = source.Slice(first * Channels, window.Length * Channels);
            int red = weights.Half, green = red, blue = red;
            for (int k = 0, i = 0; k < window.Length; k++, i += Channels)
            {
                int weight = window[k];
                red += pixels[i] * weight;
                green += pixels[i + 1] * weight;
                blue += pixels[i + 2] * weight;
            }

            int to = x * Channels;
            destination[to] = weights.ToGreyLevel(red);
            destination[to + 1] = weights.ToGreyLevel(green);
            destination[to + 2] = weights.ToGreyLevel(blue);
        }
    }

    // One source pixel of each row at a time: a vector is red, green, blue and a byte of the next pixel, which is not used.
    private static unsafe void ResizeVector(
        byte* source, nint sourceStride, byte* destination, nint stride, int width, ResamplingWeights weights)
    {
        for (int x = 0; x < width; x++)
        {
            ReadOnlySpan<int> window = weights.Of(x, out int first);
            byte* pixel = source + ((nint)first * Channels);
            Vector128<int> sum0 = Vector128.Create(weights.Half), sum1 = sum0, sum2 = sum0, sum3 = sum0;
            for (int k = 0; k < window.Length; k++, pixel += Channels)
            {
                Vector128<int> weight = Vector128.Create(window[k]);
                sum0 += Pixel(pixel) * weight;
                sum1 += Pixel(pixel + sourceStride) * weight;
                sum2 += Pixel(pixel + (2 * sourceStride)) * weight;
                sum3 += Pixel(pixel + (3 * sourceStride)) * weight;
            }

            Store(sum0, sum1, sum2, sum3, weights.FractionBits, destination + ((nint)x * Channels), stride);
        }
    }

    private static unsafe Vector128<int> Pixel(byte* pixel)
    {
        Vector128<byte> bytes = Vector128.CreateScalar(Unsafe.ReadUnaligned<uint>(pixel)).AsByte();
        return Vector128.WidenLower(Vector128.WidenLower(bytes)).AsInt32();
    }

    // Four source pixels of each row at a time, two in each half of a vector. The fast multiplication takes signed 16-bit factors and adds
    // up neighbours: therefore pixels lie as R0 R1 G0 G1 B0 B1, and a weight is a low and a high half, which are summed up apart. Put
    // together they give the 32-bit sum of the other kinds of code, were it to wrap around as well.
    private static unsafe void ResizeAvx2(
        byte* source, nint sourceStride, byte* destination, nint stride, int width, ResamplingWeights weights)
    {
        const byte Zero = 0x80; // for the shuffle
        Vector256<byte> pairs = Vector256.Create(
            0, Zero, 3, Zero, 1, Zero, 4, Zero, 2, Zero, 5, Zero, Zero, Zero, Zero, Zero,
            6, Zero, 9, Zero, 7, Zero, 10, Zero, 8, Zero, 11, Zero, Zero, Zero, Zero, Zero);
        Vector256<byte> lowHalves = Vector256.Create(
            Vector128.Create(0x05040100).AsByte(), Vector128.Create(0x0D0C0908).AsByte());
        Vector256<byte> highHalves = lowHalves + Vector256.Create((byte)2);
        Vector128<int> half = Vector128.Create(weights.Half);
        Vector256<int> carry = Vector256.Create(0x8000); // a low half from 0x8000 on is negative: the high half makes up for it

        for (int x = 0; x < width; x++)
        {
            ReadOnlySpan<int> window = weights.GroupsOf(x, out int first);
            byte* pixels = source + ((nint)first * Channels);
            Vector256<int> low0 = default, low1 = default, low2 = default, low3 = default;
            Vector256<int> high0 = default, high1 = default, high2 = default, high3 = default;
            fixed (int* begin = window)
            {
                int* end = begin + window.Length;
                for (int* group = begin; group < end; group += ResamplingWeights.Group, pixels += ResamplingWeights.Group * Channels)
                {
                    Vector256<int> four = Avx2.BroadcastVector128ToVector256(group);
                    Vector256<short> low = Avx2.Shuffle(four.AsByte(), lowHalves).AsInt16();
                    Vector256<short> high = Avx2.Shuffle((four + carry).AsByte(), highHalves).AsInt16();

                    Vector256<short> row = Avx2.Shuffle(Avx2.BroadcastVector128ToVector256(pixels), pairs).AsInt16();
                    low0 += Avx2.MultiplyAddAdjacent(row, low);
                    high0 += Avx2.MultiplyAddAdjacent(row, high);
                    row = Avx2.Shuffle(Avx2.BroadcastVector128ToVector256(pixels + sourceStride), pairs).AsInt16();
                    low1 += Avx2.MultiplyAddAdjacent(row, low);
                    high1 += Avx2.MultiplyAddAdjacent(row, high);
                    row = Avx2.Shuffle(Avx2.BroadcastVector128ToVector256(pixels + (2 * sourceStride)), pairs).AsInt16();
                    low2 += Avx2.MultiplyAddAdjacent(row, low);
                    high2 += Avx2.MultiplyAddAdjacent(row, high);
                    row = Avx2.Shuffle(Avx2.BroadcastVector128ToVector256(pixels + (3 * sourceStride)), pairs).AsInt16();
                    low3 += Avx2.MultiplyAddAdjacent(row, low);
                    high3 += Avx2.MultiplyAddAdjacent(row, high);
                }
            }

            Store(
                half + Sum(low0, high0), half + Sum(low1, high1), half + Sum(low2, high2), half + Sum(low3, high3), weights.FractionBits,
                destination + ((nint)x * Channels), stride);
        }
    }

    private static Vector128<int> Sum(Vector256<int> low, Vector256<int> high)
    {
        Vector256<int> halves = low + (high << 16);
        return halves.GetLower() + halves.GetUpper();
    }

    // Rounds the sums of one pixel in four rows to grey levels, and writes them as four bytes each.
    private static unsafe void Store(
        Vector128<int> sum0, Vector128<int> sum1, Vector128<int> sum2, Vector128<int> sum3, int fractionBits, byte* pixel, nint stride)
    {
        Vector128<short> rows01 = Vector128.NarrowWithSaturation(sum0 >> fractionBits, sum1 >> fractionBits);
        Vector128<short> rows23 = Vector128.NarrowWithSaturation(sum2 >> fractionBits, sum3 >> fractionBits);
        Vector128<uint> levels = Vector128.NarrowWithSaturation(
            Vector128.Max(rows01, default).AsUInt16(), Vector128.Max(rows23, default).AsUInt16()).AsUInt32();
        Unsafe.WriteUnaligned(pixel, levels[0]);
        Unsafe.WriteUnaligned(pixel + stride, levels[1]);
        Unsafe.WriteUnaligned(pixel + (2 * stride), levels[2]);
        Unsafe.WriteUnaligned(pixel + (3 * stride), levels[3]);
    }
}
