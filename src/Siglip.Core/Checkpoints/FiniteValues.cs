using System.Numerics;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Looks for NaN and infinity, the numbers whose exponent's bits are all 1.</summary>
/// <remarks>On the thread that asks, unlike torch's own functions: parameters are checked as they are read, on all cores.</remarks>
internal static class FiniteValues
{
    /// <summary>Whether a tensor has no other values.</summary>
    /// <param name="tensor">Float32, BFloat16 or Float16, contiguous, on the CPU.</param>
    public static bool Only(Tensor tensor)
    {
        foreach ((_, Tensor part) in SafetensorsFile.Parts(tensor))
        {
            using (part)
            {
                bool isFinite = part.dtype switch
                {
                    ScalarType.Float32 => NoneHas<uint>(0x7F80_0000, MemoryMarshal.Cast<byte, uint>(part.bytes)),
                    ScalarType.BFloat16 => NoneHas<ushort>(0x7F80, MemoryMarshal.Cast<byte, ushort>(part.bytes)),
                    ScalarType.Float16 => NoneHas<ushort>(0x7C00, MemoryMarshal.Cast<byte, ushort>(part.bytes)),
                    _ => throw new NotSupportedException($"{part.dtype}"),
                };
                if (!isFinite)
                    return false;
            }
        }

        return true;
    }

    private static bool NoneHas<T>(T exponent, ReadOnlySpan<T> values)
        where T : struct, IBinaryInteger<T>
    {
        ReadOnlySpan<Vector<T>> vectors = MemoryMarshal.Cast<T, Vector<T>>(values);
        var mask = new Vector<T>(exponent);
        Vector<T> found = Vector<T>.Zero;
        foreach (Vector<T> vector in vectors)
            found |= Vector.Equals(vector & mask, mask);
        if (found != Vector<T>.Zero)
            return false;

        foreach (T value in values[(vectors.Length * Vector<T>.Count)..])
        {
            if ((value & exponent) == exponent)
                return false;
        }

        return true;
    }
}
