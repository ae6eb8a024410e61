using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Siglip.Core;

/// <summary>The exponential function of vectors in single precision; .NET's own computes in double precision, which takes twice as long.</summary>
internal static class VectorExp
{
    /// <summary>e to the x, within 2 units of the last place, for x between -87 and 88; what lies outside is taken for the nearer end. NaN stays NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x)
    {
        const float Ln2High = 0.693359375f, Ln2Low = -2.12194440e-4f, Log2E = 1.44269504f;
        Vector512<float> clamped = Vector512.Min(Vector512.Max(x, Vector512.Create(-87.3f)), Vector512.Create(88.7f)); // NaN stays
        Vector512<float> n = Vector512.Round(clamped * Vector512.Create(Log2E));
        Vector512<float> r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-Ln2High), clamped);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-Ln2Low), r); // |r| <= ln 2 / 2

        Vector512<float> sum = Vector512.Create(1.9875691500e-4f); // coefficients: Cephes, expf
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(1.3981999507e-3f));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(8.3334519073e-3f));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(4.1665795894e-2f));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(1.6666665459e-1f));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(0.5f));
        sum = Vector512.FusedMultiplyAdd(sum, r * r, r) + Vector512<float>.One;
        Vector512<int> power = (Vector512.ConvertToInt32Native(n) + Vector512.Create(127)) << 23;
        return sum * power.AsSingle();
    }
}
