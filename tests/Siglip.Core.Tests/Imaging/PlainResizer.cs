namespace Siglip.Core.Tests;

/// <summary>What resizing is meant to compute, in double precision and without regard to speed.</summary>
/// <remarks>
/// A pixel of the result is the weighted mean of the source pixels around the point where its centre lies. The filter is as many source
/// pixels wide as one pixel of the result, and never narrower than when it enlarges; beyond the image there is nothing.
/// </remarks>
internal static class PlainResizer
{
    /// <summary>For each pixel of the result: its first source pixel, and the weights of this one and those after it, which sum to 1.
    /// </summary>
    public static (int First, double[] Weights)[] Windows(int sourceSize, int size, ImageResampling resampling)
    {
        double scale = (double)sourceSize / size, width = Math.Max(scale, 1);
        double support = width * (resampling == ImageResampling.Bicubic ? 2 : 1);
        var windows = new (int, double[])[size];
        for (int i = 0; i < size; i++)
        {
            double centre = (i + 0.5) * scale;
            int first = Math.Max((int)Math.Floor(centre - support + 0.5), 0);
            int end = Math.Min((int)Math.Floor(centre + support + 0.5), sourceSize);
            double[] weights =
                [.. Enumerable.Range(first, end - first).Select(pixel => Filter((pixel + 0.5 - centre) / width, resampling))];
            double sum = weights.Sum();
            windows[i] = (first, [.. weights.Select(weight => weight / sum)]);
        }

        return windows;
    }

    // The triangle, and Keys' cubic with a = -1/2.
    private static double Filter(double x, ImageResampling resampling)
    {
        x = Math.Abs(x);
        if (resampling == ImageResampling.Bilinear)
            return Math.Max(1 - x, 0);
        return x < 1 ? (1.5 * x * x * x) - (2.5 * x * x) + 1
            : x < 2 ? (-0.5 * x * x * x) + (2.5 * x * x) - (4 * x) + 2
            : 0;
    }
}
