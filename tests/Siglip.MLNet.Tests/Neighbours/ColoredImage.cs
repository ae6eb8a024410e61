using Microsoft.ML;
using Microsoft.ML.Data;
using SkiaSharp;

namespace Siglip.MLNet.Tests.Neighbours;

/// <summary>A small noisy picture, red, green or blue: classes that every trainer tells apart by their embeddings.</summary>
public sealed class ColoredImage
{
    private static readonly Lazy<ColoredImage[]> Pictures = new(() => Create(72));

    /// <summary>For training: 16 of each color.</summary>
    public static IReadOnlyList<ColoredImage> Train => Pictures.Value[..48];

    /// <summary>Held out: 8 of each color.</summary>
    public static IReadOnlyList<ColoredImage> Test => Pictures.Value[48..];

    public string Path { get; set; } = "";

    public byte[] Bytes { get; set; } = [];

    public string Color { get; set; } = "";

    public bool IsRed { get; set; }

    /// <summary>0 for red, 1 for green, 2 for blue.</summary>
    public float Number { get; set; }

    /// <summary>Six images each, two of each color.</summary>
    [KeyType(16)]
    public uint Group { get; set; }

    public static IDataView View(MLContext mlContext, IEnumerable<ColoredImage> images) => mlContext.Data.LoadFromEnumerable(images.ToArray());

    private static ColoredImage[] Create(int count)
    {
        var random = new Random(1);
        return [.. Enumerable.Range(0, count).Select(i =>
        {
            int strongest = i % 3;
            string path = TestModel.SaveImage($"colored-{i}.png", 18 + (i % 5), 18 + (i % 4), (_, _) =>
            {
                byte[] color = [.. Enumerable.Range(0, 3).Select(channel => (byte)(channel == strongest ? random.Next(150, 256) : random.Next(0, 80)))];
                return new SKColor(color[0], color[1], color[2]);
            });
            return new ColoredImage
            {
                Path = path,
                Bytes = File.ReadAllBytes(path),
                Color = ((string[])["red", "green", "blue"])[strongest],
                IsRed = strongest == 0,
                Number = strongest,
                Group = (uint)(i / 6) + 1,
            };
        })];
    }
}
