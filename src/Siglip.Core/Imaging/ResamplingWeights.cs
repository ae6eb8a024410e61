namespace Siglip.Core;

/// <summary>For each pixel of a resized axis: which source pixels it is made of, and with which weights.</summary>
/// <remarks>Source: Pillow, src/libImaging/Resample.c, precompute_coeffs and normalize_coeffs_8bpc; every step in the same order.</remarks>
internal sealed class ResamplingWeights
{
    /// <summary>Weights are multiples of 2^-22: 32 bits less 8 for the grey level and 2 for sums beyond 0 to 255.</summary>
    public const int FractionBits = 32 - 8 - 2;

    /// <summary>Half of a grey level: sums begin with it, so that cutting the fraction off rounds to the nearest grey level.</summary>
    public const int Half = 1 << (FractionBits - 1);

    /// <summary>Weights lie in groups of this many; after a window's last weight its group is filled with zeros.</summary>
    public const int Group = 4;

    private readonly int[] _first;
    private readonly int[] _count;
    private readonly int[] _weights; // [size, _stride]
    private readonly int _stride;

    public ResamplingWeights(int sourceSize, int size, ImageResampling resampling)
    {
        double scale = (double)sourceSize / size;
        double filterScale = Math.Max(scale, 1);
        double perFilterUnit = 1 / filterScale; // multiplied with, not divided by: Pillow's last bit
        double support = (resampling == ImageResampling.Bicubic ? 2 : 1) * filterScale;
        int longest = ((int)Math.Ceiling(support) * 2) + 1;
        _stride = (longest + Group - 1) / Group * Group;
        _first = new int[size];
        _count = new int[size];
        _weights = new int[checked(size * _stride)];

        var exact = new double[longest];
        for (int i = 0; i < size; i++)
        {
            double centre = (i + 0.5) * scale;
            int first = Math.Max((int)(centre - support + 0.5), 0);
            int count = Math.Min((int)(centre + support + 0.5), sourceSize) - first;
            double sum = 0;
            for (int k = 0; k < count; k++)
            {
                double x = (k + first - centre + 0.5) * perFilterUnit;
                exact[k] = resampling == ImageResampling.Bicubic ? Cubic(x) : Triangle(x);
                sum += exact[k];
            }

            for (int k = 0; k < count; k++)
            {
                double weight = exact[k] / sum * (1 << FractionBits);
                _weights[(i * _stride) + k] = (int)(weight < 0 ? weight - 0.5 : weight + 0.5); // half away from zero
            }

            (_first[i], _count[i]) = (first, count);
            LongestWindow = Math.Max(LongestWindow, count);
        }
    }

    /// <summary>The largest number of source pixels that a pixel of the result is made of.</summary>
    public int LongestWindow { get; }

    /// <summary>The rounded grey level, from 0 to 255, of a sum of grey levels times weights that began with <see cref="Half"/>.</summary>
    public static byte ToGreyLevel(int sum) => (byte)Math.Clamp(sum >> FractionBits, 0, 255);

    /// <summary>The weights of consecutive source pixels.</summary>
    /// <param name="index">The pixel of the result.</param>
    /// <param name="first">The first of its source pixels.</param>
    public ReadOnlySpan<int> Of(int index, out int first)
    {
        first = _first[index];
        return _weights.AsSpan(index * _stride, _count[index]);
    }

    /// <summary>The weights with the zeros that fill their last group.</summary>
    /// <param name="index">The pixel of the result.</param>
    /// <param name="first">The first of its source pixels.</param>
    public ReadOnlySpan<int> GroupsOf(int index, out int first)
    {
        first = _first[index];
        return _weights.AsSpan(index * _stride, (_count[index] + Group - 1) / Group * Group);
    }

    private static double Triangle(double x) => Math.Max(1 - Math.Abs(x), 0);

    private static double Cubic(double x)
    {
        const double A = -0.5;
        x = Math.Abs(x);
        return x < 1 ? ((((A + 2) * x) - (A + 3)) * x * x) + 1
            : x < 2 ? ((((x - 5) * x) + 8) * x - 4) * A
            : 0;
    }
}
