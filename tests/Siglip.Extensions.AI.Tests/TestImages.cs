using Microsoft.Extensions.AI;

namespace Siglip.Extensions.AI.Tests;

/// <summary>The images and models beside the tests.</summary>
internal static class TestImages
{
    /// <summary>Five formats, in an order that no sorting would give.</summary>
    public static IReadOnlyList<string> Files { get; } =
        [.. ((string[])["rgb.png", "photo_420.jpg", "tall_5x900.png", "lossy.webp", "animated.gif", "rgb24.bmp", "exif_orientation_6.jpg"]).Select(PathOf)];

    public static string PathOf(string name) => Path.Combine(AppContext.BaseDirectory, "images", name);

    public static string Model(string name) => Path.Combine(AppContext.BaseDirectory, name);

    public static DataContent Load(string path) => DataContent.LoadFromAsync(path).AsTask().GetAwaiter().GetResult();

    public static DataContent[] Contents(int count = int.MaxValue) => [.. Files.Take(count).Select(Load)];

    /// <summary>The photos of a folder of samples, with the names of their classes.</summary>
    public static IReadOnlyList<(string Path, string Label)> Photos(string folder) =>
        [.. Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "samples", folder), "*.png", SearchOption.AllDirectories)
            .Order(StringComparer.Ordinal).Select(path => (path, Path.GetFileName(Path.GetDirectoryName(path)!)))];

    public static float[][] Vectors(IEnumerable<Embedding<float>> embeddings) => [.. embeddings.Select(embedding => embedding.Vector.ToArray())];

    /// <summary>Equal to the bit.</summary>
    public static void AreSame(float[][] expected, float[][] actual)
    {
        Assert.HasCount(expected.Length, actual);
        for (int i = 0; i < expected.Length; i++)
            Assert.IsTrue(expected[i].AsSpan().SequenceEqual(actual[i]), $"image {i}");
    }
}
