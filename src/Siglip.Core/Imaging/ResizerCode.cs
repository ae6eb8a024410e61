using System.Numerics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Siglip.Core;

/// <summary>The code that resizes an image. All kinds give the same pixels.</summary>
internal enum ResizerCode
{
    /// <summary>One value at a time, on every processor.</summary>
    Scalar,

    /// <summary>.NET's portable vectors, for processors such as ARM's.</summary>
    Vector,

    /// <summary>As <see cref="Vector"/>, with the columns resized by AVX2's 16-bit multiplications.</summary>
    Avx2,
}

/// <summary>Which code this processor can run.</summary>
internal static class ResizerCodes
{
    /// <summary>From the slowest to the fastest.</summary>
    public static IEnumerable<ResizerCode> Supported
    {
        get
        {
            yield return ResizerCode.Scalar;

            // Pixels are read as 32-bit integers, whose first byte has to be red.
            if (BitConverter.IsLittleEndian && Vector128.IsHardwareAccelerated && Vector.IsHardwareAccelerated)
                yield return ResizerCode.Vector;
            if (Avx2.IsSupported)
                yield return ResizerCode.Avx2;
        }
    }

    public static ResizerCode Fastest { get; } = Supported.Last();
}
