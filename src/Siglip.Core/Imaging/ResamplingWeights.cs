using System.Buffers;

namespace Siglip.Core;

/// <summary>For each pixel of a resized axis: which source pixels it is made of, and with which weights.</summary>
/// <remarks>
/// Sources: Pillow, src/libImaging/Resample.c, precompute_coeffs and normalize_coeffs_8bpc; PyTorch, aten/src/ATen/native/cpu/UpSampleKernel.cpp,
/// _compute_indices_min_size_weights_aa and _compute_index_ranges_int16_weights. Both compute the same weights in double precision, step by step in the
/// order below, and differ in the number of fraction bits to which they round them.
/// </remarks>
internal sealed class ResamplingWeights
{
    /// <summary>Pillow's weights are multiples of 2^-22: 32 bits less 8 for the grey level and 2 for sums beyond 0 to 255. torch has no more either.</summary>
    private const int MostFractionBits = 32 - 8 - 2;

    /// <summary>torch's weights are 16-bit integers with sign.</summary>
    private const int TorchWeightLimit = 1 << 15;

    /// <summary>Weights lie in groups of this many; after a window's last weight its group is filled with zeros.</summary>
    public const int Group = 4;

    private readonly int[] _first;
    private readonly int[] _count;
    private readonly int[] _weights; // [size, _stride]
    private readonly int _stride;

    public ResamplingWeights(int sourceSize, int size, ImageResampling resampling, SiglipImageBackend backend)
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

        double[] exact = ArrayPool<double>.Shared.Rent(_weights.Length); // as _weights
        double largest = 0;
        for (int i = 0; i < size; i++)
        {
            double centre = (i + 0.5) * scale;
            int first = Math.Max((int)(centre - support + 0.5), 0);
            int count = Math.Min((int)(centre + support + 0.5), sourceSize) - first;
            Span<double> window = exact.AsSpan(i * _stride, count);
            double sum = 0;
            for (int k = 0; k < count; k++)
            {
                double x = (k + first - centre + 0.5) * perFilterUnit;
                window[k] = resampling == ImageResampling.Bicubic ? Cubic(x) : Triangle(x);
                sum += window[k];
            }

            foreach (ref double weight in window)
            {
                weight /= sum;
                largest = Math.Max(largest, weight);
            }

            (_first[i], _count[i]) = (first, count);
            LongestWindow = Math.Max(LongestWindow, count);
        }

        FractionBits = backend == SiglipImageBackend.Torchvision ? TorchFractionBits(largest) : MostFractionBits;
        for (int i = 0; i < size; i++)
        {
            for (int k = i * _stride; k < (i * _stride) + _count[i]; k++)
            {
                double weight = exact[k] * (1 << FractionBits);
                _weights[k] = (int)(weight < 0 ? weight - 0.5 : weight + 0.5); // half away from zero
            }
        }

        ArrayPool<double>.Shared.Return(exact);
    }

    /// <summary>Weights are multiples of 2 to the power of minus this.</summary>
    public int FractionBits { get; }

    /// <summary>Half of a grey level: sums begin with it, so that cutting the fraction off rounds to the nearest grey level.</summary>
    public int Half => 1 << (FractionBits - 1);

    /// <summary>The largest number of source pixels that a pixel of the result is made of.</summary>
    public int LongestWindow { get; }

    /// <summary>The rounded grey level, from 0 to 255, of a sum of grey levels times weights that began with <see cref="Half"/>.</summary>
    public byte ToGreyLevel(int sum) => (byte)Math.Clamp(sum >> FractionBits, 0, 255);

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

    // As many as possible while the largest weight fits: 14 or more, as weights stay below 2.
    private static int TorchFractionBits(double largest)
    {
        int bits = 0;
        while (bits < MostFractionBits && (int)((largest * (1 << (bits + 1))) + 0.5) < TorchWeightLimit)
            bits++;
        return bits;
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
