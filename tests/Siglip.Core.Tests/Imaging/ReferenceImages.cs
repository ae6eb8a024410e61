using System.Security.Cryptography;
using System.Text.Json;

namespace Siglip.Core.Tests;

/// <summary>The images of Reference/preprocess, and what Pillow makes of them.</summary>
internal static class ReferenceImages
{
    private static readonly JsonElement Index =
        JsonDocument.Parse(File.ReadAllText(ReferenceData.PathOf("preprocess", "index.json"))).RootElement.GetProperty("images");

    public static IEnumerable<object[]> Names => Index.EnumerateObject().Select(image => new object[] { image.Name });

    /// <summary>The SHA-256 of expected tensors that are too large to be kept, for the tensors whose names begin so.</summary>
    public static List<(string Image, string Tensor, string Sha256)> Hashes(string prefix) =>
        [.. ReferenceModels.Json("preprocess", "expected_sha256.json").EnumerateObject()
            .SelectMany(image => image.Value.EnumerateObject().Select(tensor => (image.Name, tensor.Name, tensor.Value.GetString()!)))
            .Where(tensor => tensor.Item2.StartsWith(prefix, StringComparison.Ordinal))];

    public static string PathOf(string name) => ReferenceData.PathOf("preprocess", "images", name);

    public static byte[] Bytes(string name) => File.ReadAllBytes(PathOf(name));

    public static string Text(string name, string property) => Index.GetProperty(name).GetProperty(property).GetString()!;

    public static int Number(string name, string property) => Index.GetProperty(name).GetProperty(property).GetInt32();

    /// <summary>The expected tensors of an image whose names begin so.</summary>
    public static List<KeyValuePair<string, ReferenceTensor>> Expected(string name, string prefix) =>
        [.. ReferenceData.Tensors("preprocess", "expected", name.Replace('.', '_') + ".safetensors")
            .Where(tensor => tensor.Key.StartsWith(prefix, StringComparison.Ordinal))];

    /// <summary>Filter and size in the name of a tensor, such as resized_bicubic_56.</summary>
    public static (ImageResampling Resampling, int Size) Settings(string tensor)
    {
        string[] words = tensor.Split('_');
        return (words[^2] == "bicubic" ? ImageResampling.Bicubic : ImageResampling.Bilinear, int.Parse(words[^1]));
    }

    /// <summary>How far bytes are from those expected; infinitely if there are more or fewer.</summary>
    public static double LargestDifference(ReadOnlySpan<byte> actual, ReadOnlySpan<byte> expected)
    {
        if (actual.Length != expected.Length)
            return double.PositiveInfinity;
        int largest = 0;
        for (int i = 0; i < actual.Length; i++)
            largest = Math.Max(largest, Math.Abs(actual[i] - expected[i]));
        return largest;
    }

    /// <summary>How far values are from those expected; infinitely if there are more or fewer, or if one is not a number.</summary>
    public static double LargestDifference(ReadOnlySpan<float> actual, ReadOnlySpan<float> expected)
    {
        if (actual.Length != expected.Length)
            return double.PositiveInfinity;
        double largest = 0;
        for (int i = 0; i < actual.Length; i++)
            largest = Math.Max(largest, Math.Abs((double)actual[i] - expected[i])); // NaN if one is
        return double.IsNaN(largest) ? double.PositiveInfinity : largest;
    }

    /// <summary>0 if the bytes have that hash; infinite if not, for nothing says how far off they are.</summary>
    public static double DifferenceFromHash(ReadOnlySpan<byte> actual, string sha256) =>
        Convert.ToHexStringLower(SHA256.HashData(actual)) == sha256 ? 0 : double.PositiveInfinity;

    /// <summary>Noise, the same for the same seed.</summary>
    public static RgbImage Noise(int width, int height, int seed)
    {
        var pixels = new byte[width * height * 3];
        new Random(seed).NextBytes(pixels);
        return new RgbImage(width, height, pixels);
    }
}
