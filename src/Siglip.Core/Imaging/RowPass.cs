using System.Numerics;

namespace Siglip.Core;

/// <summary>Resizes the rows of an image whose columns have been resized: a row of the result is a weighted sum of source rows.</summary>
internal static class RowPass
{
    /// <summary>Makes one row of the result.</summary>
    /// <param name="source">[window, stride]: the source rows that the window looks at.</param>
    /// <param name="stride">Bytes from a source row to the next one, at least those of the result's row.</param>
    /// <param name="weights">The weights for this height.</param>
    /// <param name="window">Those of the source rows.</param>
    /// <param name="row">The row of the result.</param>
    /// <param name="code">How to compute.</param>
    public static void Resize(
        ReadOnlySpan<byte> source, int stride, ResamplingWeights weights, ReadOnlySpan<int> window, Span<byte> row, ResizerCode code)
    {
        int vector = Vector<byte>.Count;
        if (code == ResizerCode.Scalar || row.Length < vector)
        {
            for (int i = 0; i < row.Length; i++)
                row[i] = Sum(source[i..], stride, weights, window);
            return;
        }

        for (int i = 0; i < row.Length; i += vector)
        {
            // The last vector ends with the row; what it has in common with the one before it is computed again.
            int at = Math.Min(i, row.Length - vector);
            SumVector(source[at..], stride, weights, window).CopyTo(row[at..]);
        }
    }

    private static byte Sum(ReadOnlySpan<byte> source, int stride, ResamplingWeights weights, ReadOnlySpan<int> window)
    {
        int sum = weights.Half;
        for (int k = 0; k < window.Length; k++)
            sum += source[k * stride] * window[k];
        return weights.ToGreyLevel(sum);
    }

    private static Vector<byte> SumVector(ReadOnlySpan<byte> source, int stride, ResamplingWeights weights, ReadOnlySpan<int> window)
    {
        Vector<int> sum0 = new(weights.Half), sum1 = sum0, sum2 = sum0, sum3 = sum0;
        for (int k = 0; k < window.Length; k++)
        {
            Vector.Widen(new Vector<byte>(source[(k * stride)..]), out Vector<ushort> lower, out Vector<ushort> upper);
            Vector.Widen(lower, out Vector<uint> levels0, out Vector<uint> levels1);
            Vector.Widen(upper, out Vector<uint> levels2, out Vector<uint> levels3);
            Vector<int> weight = new(window[k]);
            sum0 += levels0.As<uint, int>() * weight;
            sum1 += levels1.As<uint, int>() * weight;
            sum2 += levels2.As<uint, int>() * weight;
            sum3 += levels3.As<uint, int>() * weight;
        }

        return Vector.Narrow(
            Vector.Narrow(ToGreyLevels(sum0, weights), ToGreyLevels(sum1, weights)),
            Vector.Narrow(ToGreyLevels(sum2, weights), ToGreyLevels(sum3, weights)));
    }

    private static Vector<uint> ToGreyLevels(Vector<int> sums, ResamplingWeights weights) =>
        Vector.Clamp(sums >> weights.FractionBits, Vector<int>.Zero, new Vector<int>(255)).As<int, uint>();
}
