using System.Runtime.InteropServices;
using TorchSharp;
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
    /// <exception cref="ArgumentOutOfRangeException">There is no such precision, or it is no type of a module's parameters.</exception>
    public static ScalarType ToDtype(this SiglipPrecision precision) => precision switch
    {
        SiglipPrecision.Float32 => ScalarType.Float32,
        SiglipPrecision.BFloat16 => ScalarType.BFloat16,
        SiglipPrecision.Float16 => ScalarType.Float16,
        SiglipPrecision.Int8 => throw new ArgumentOutOfRangeException("Precision is Int8, which embedders and featurizers compute in, not modules. Expected Float32, BFloat16 or "
            + "Float16.", innerException: null),
        _ => throw new ArgumentOutOfRangeException($"Precision is {(int)precision}, expected Float32, BFloat16, Float16 or Int8.", innerException: null),
    };

    /// <summary>The precision of the modules that are computed with in this one.</summary>
    public static SiglipPrecision OfModules(this SiglipPrecision precision) => precision == SiglipPrecision.Int8 ? SiglipPrecision.Float32 : precision;

    /// <summary>Checks that the device computes in the precision, before anything is loaded.</summary>
    /// <exception cref="ArgumentException">It does not.</exception>
    /// <exception cref="PlatformNotSupportedException">It does not, nor does any of this machine.</exception>
    public static void CheckDevice(this SiglipPrecision precision, Device device)
    {
        if (precision != SiglipPrecision.Int8)
            return;
        if (device.type != DeviceType.CPU)
            throw new ArgumentException($"Precision is Int8, which is for the CPU, but the device is '{device}'. Choose BFloat16 or Float16 there.");
        if (!TorchOperators.AreAvailable)
            throw new PlatformNotSupportedException("Precision is Int8, which needs an x86-64 processor with AVX2, and Linux or Windows; this is "
                + $"{RuntimeInformation.ProcessArchitecture} on {RuntimeInformation.OSDescription}. Choose Float32 or BFloat16.");
    }
}
