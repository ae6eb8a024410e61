using SkiaSharp;

namespace Siglip.Core.Tests;

/// <summary>A toy problem: images of one colour, in the class folders blue and red.</summary>
internal static class ColouredImages
{
    public static SiglipVisionConfig Config { get; } = new()
    {
        HiddenSize = 16,
        IntermediateSize = 32,
        NumHiddenLayers = 1,
        NumAttentionHeads = 2,
        ImageSize = 8,
        PatchSize = 4,
    };

    public static SiglipImageProcessorConfig Processor { get; } = new() { Height = 8, Width = 8 };

    public static ImageFolderDataset Write(string folder, int imagesPerClass)
    {
        for (int i = 0; i < imagesPerClass; i++)
        {
            byte shade = (byte)(120 + (i * 10));
            WritePng(Path.Combine(folder, "red", $"{i}.png"), new SKColor(shade, 20, 20));
            WritePng(Path.Combine(folder, "blue", $"{i}.png"), new SKColor(20, 20, shade));
        }

        return ImageFolderDataset.Open(folder);
    }

    private static void WritePng(string path, SKColor colour)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        using var bitmap = new SKBitmap(12, 10);
        bitmap.Erase(colour);
        using FileStream file = File.Create(path);
        bitmap.Encode(file, SKEncodedImageFormat.Png, 100);
    }
}
