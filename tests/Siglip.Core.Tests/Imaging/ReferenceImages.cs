using System.Text.Json;

namespace Siglip.Core.Tests;

/// <summary>The images of Reference/preprocess, and what Pillow makes of them.</summary>
internal static class ReferenceImages
{
    private static readonly JsonElement Index =
        JsonDocument.Parse(File.ReadAllText(ReferenceData.PathOf("preprocess", "index.json"))).RootElement.GetProperty("images");

    public static IEnumerable<object[]> Names => Index.EnumerateObject().Select(image => new object[] { image.Name });

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

    /// <summary>Noise, the same for the same seed.</summary>
    public static RgbImage Noise(int width, int height, int seed)
    {
        var pixels = new byte[width * height * 3];
        new Random(seed).NextBytes(pixels);
        return new RgbImage(width, height, pixels);
    }
}
