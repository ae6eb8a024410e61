using System.Runtime.InteropServices;
using System.Text;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>Weights of any size that follow from their names, instead of a file: the rule of the reference's full-size models.</summary>
/// <remarks>
/// The i-th output of SplitMix64, seeded with the FNV-1a hash of the name, gives u = (top 24 bits - 2^23) / 2^23, in [-1, 1). The value is u times a
/// power of two, so that neither the order of operations nor fused ones can change a bit.
/// </remarks>
internal static class FormulaWeights
{
    private const string Salt = "siglip-reference-1:";
    private const int Chunk = 1 << 16;

    /// <summary>A model whose parameters are all made by the formula, and none at random before.</summary>
    public static SiglipVisionModel CreateModel(SiglipVisionConfig config)
    {
        TorchNative.Ensure();
        using IDisposable skipping = Initialization.Skip(ScalarType.Float32);
        var model = new SiglipVisionModel(config);
        foreach ((string name, Parameter parameter) in model.named_parameters())
            Fill(name, parameter);
        return model;
    }

    /// <summary>The input of the full-size models.</summary>
    /// <returns>[batch, channels, image size, image size].</returns>
    public static Tensor PixelValues(long batch, SiglipVisionConfig config)
    {
        Tensor pixelValues = empty([batch, config.NumChannels, config.ImageSize, config.ImageSize], float32);
        Fill("pixel_values", pixelValues);
        return pixelValues;
    }

    /// <summary>Writes the values of a name into a tensor.</summary>
    /// <param name="name">As in a checkpoint, with <c>vision_model.</c></param>
    /// <param name="tensor">float32, contiguous, on the CPU; of any shape.</param>
    public static void Fill(string name, Tensor tensor)
    {
        (float offset, float scale) = Rule(name);
        ulong hash = Hash(name);
        using Tensor values = tensor.detach(); // the same memory
        int length = checked((int)values.numel());
        if (!values.is_contiguous() || values.dtype != ScalarType.Float32)
            throw new ArgumentException($"Tensor '{name}' is {values.dtype}, or not contiguous; expected contiguous float32.", nameof(tensor));
        Parallel.For(0, (length + Chunk - 1) / Chunk, chunk =>
        {
            int start = chunk * Chunk;
            Span<float> part = MemoryMarshal.Cast<byte, float>(values.bytes).Slice(start, Math.Min(Chunk, length - start));
            for (int i = 0; i < part.Length; i++)
                part[i] = offset + (scale * (((int)(Random(hash, start + i) >> 40) - (1 << 23)) / (float)(1 << 23)));
        });
    }

    /// <summary>FNV-1a, 64 bits, of salt and name.</summary>
    public static ulong Hash(string name) =>
        Encoding.UTF8.GetBytes(Salt + name).Aggregate(0xcbf29ce484222325, (hash, letter) => unchecked((hash ^ letter) * 0x100000001b3));

    /// <summary>The output of SplitMix64 number <paramref name="index"/>, counted from 0.</summary>
    public static ulong Random(ulong hash, long index)
    {
        unchecked
        {
            ulong z = hash + ((ulong)(index + 1) * 0x9E3779B97F4A7C15);
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
            return z ^ (z >> 31);
        }
    }

    // The first that fits.
    private static (float Offset, float Scale) Rule(string name) => name switch
    {
        _ when name.Contains("layer_norm", StringComparison.Ordinal) || name.Contains("layernorm", StringComparison.Ordinal) =>
            (name.EndsWith("weight", StringComparison.Ordinal) ? 1 : 0, 1f / 8),
        _ when name.EndsWith("bias", StringComparison.Ordinal) => (0, 1f / 16),
        _ when name.EndsWith("position_embedding.weight", StringComparison.Ordinal) => (0, 1f / 2),
        "pixel_values" => (0, 1),
        _ when name.EndsWith("head.probe", StringComparison.Ordinal) => (0, 1),
        _ when name.EndsWith("in_proj_weight", StringComparison.Ordinal) || name.EndsWith("q_proj.weight", StringComparison.Ordinal) => (0, 1f / 8),
        _ when name.EndsWith("fc2.weight", StringComparison.Ordinal) => (0, 1f / 32),
        _ => (0, 1f / 16),
    };
}
