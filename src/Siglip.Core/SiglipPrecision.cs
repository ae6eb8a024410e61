using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The floating-point type in which a model holds its weights and computes. Embeddings come out as float32 in any case.</summary>
#pragma warning disable CA1720 // The field's own names.
public enum SiglipPrecision
{
    /// <summary>32 bits, the numbers of the reference.</summary>
    Float32 = 0,

    /// <summary>16 bits with the range of float32 and 8 bits of precision: half the memory, embeddings off by about 1 %.</summary>
    BFloat16 = 1,

    /// <summary>16 bits with 11 bits of precision and a range up to 65,504: half the memory, embeddings off by about 0.1 %.</summary>
    Float16 = 2,

    /// <summary>Matrix products of 8-bit integers, weights with a scale for each output and inputs with one for each row; all else is float32. For inference on the CPU
    /// (x86-64 with AVX2, faster with VNNI): a quarter of the memory, embeddings off by about 1 %.</summary>
    Int8 = 3,
}
#pragma warning restore CA1720

/// <summary>torch's names.</summary>
internal static class SiglipPrecisionDtype
{
    /// <summary>The type of the parameters that are not packed.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such precision.</exception>
    public static ScalarType ToDtype(this SiglipPrecision precision) => precision switch
    {
        SiglipPrecision.Float32 => ScalarType.Float32,
        SiglipPrecision.BFloat16 => ScalarType.BFloat16,
        SiglipPrecision.Float16 => ScalarType.Float16,
        SiglipPrecision.Int8 => ScalarType.Float32,
        _ => throw new ArgumentOutOfRangeException($"Precision is {(int)precision}, expected Float32, BFloat16, Float16 or Int8.", innerException: null),
    };
}
