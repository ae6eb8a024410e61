using System.Runtime.InteropServices;
using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;
using SkiaSharp;
using TorchSharp;

namespace Siglip.MLNet.Tests;

/// <summary>A small checkpoint with fixed random weights, and small images, in a folder of the test run.</summary>
[TestClass]
public static class TestModel
{
    public const int Hidden = 16;
    public const int Patches = 16;

    // Batches change the order of float32 sums only; embeddings are of size 1, a wrong image or output differs by 0.01 and more.
    public const float Tolerance = 1e-5f;

    private static string _folder = "";

    public static string Checkpoint { get; private set; } = "";

    public static string CheckpointWithoutHead { get; private set; } = "";

    /// <summary>The reference model with variable resolution: at most 22 patches of 8 x 8 pixels, hidden size 32.</summary>
    public static string NaFlex { get; } = Path.Combine(AppContext.BaseDirectory, "naflex");

    /// <summary>A reference model with fixed resolution: 32 x 32 pixels, patches of 8 x 8, hidden size 64.</summary>
    public static string VisionOnly { get; } = Path.Combine(AppContext.BaseDirectory, "vision_only");

    /// <summary>The images of the results of <see cref="NaFlex"/>, in their order.</summary>
    public static IReadOnlyList<string> NaFlexImages { get; } =
        [.. ((string[])["rgb.png", "chart.png", "wide_1600x9.png", "interlaced.png"]).Select(name => Path.Combine(AppContext.BaseDirectory, "images", name))];

    /// <summary>Seven images of different sizes and contents; the last one is a JPEG.</summary>
    public static IReadOnlyList<string> Images { get; private set; } = [];

    public static string ImageFolder => Path.Combine(_folder, "images");

    public static SiglipVisionConfig Config { get; } = new()
    {
        HiddenSize = Hidden,
        IntermediateSize = 32,
        NumHiddenLayers = 2,
        NumAttentionHeads = 2,
        ImageSize = 16,
        PatchSize = 4,
    };

    [AssemblyInitialize]
    public static void Create(TestContext _)
    {
        _folder = Directory.CreateTempSubdirectory("siglip-mlnet-tests-").FullName;
        Checkpoint = SaveCheckpoint("checkpoint", Config, seed: 1);
        CheckpointWithoutHead = SaveCheckpoint("without-head", Config with { VisionUseHead = false }, seed: 2);

        Directory.CreateDirectory(ImageFolder);
        (int Width, int Height)[] sizes = [(16, 16), (40, 24), (17, 33), (64, 64), (5, 9), (100, 50), (31, 20)];
        Images = [.. sizes.Select((size, i) => SaveImage(i == 6 ? $"{i}.jpg" : $"{i}.png", size.Width, size.Height,
            (x, y) => new SKColor((byte)(x * 7 * (i + 1)), (byte)(y * 11 + (40 * i)), (byte)(x * y + (90 * i)))))];
    }

    [AssemblyCleanup]
    public static void Delete()
    {
        Directory.Delete(_folder, recursive: true);
        ContractReport.OfThisRun.WriteTable();
    }

    public static string SaveCheckpoint(string name, SiglipVisionConfig config, long seed)
    {
        TorchNative.Ensure();
        torch.manual_seed(seed);
        using var model = new SiglipVisionModel(config);
        Shake(model);
        string folder = NewPath(name);
        model.SavePretrained(folder, new SiglipImageProcessorConfig { Height = config.ImageSize, Width = config.ImageSize });
        return folder;
    }

    /// <summary>Makes every weight and bias count: in a new model most of them are 0 or 1, and images barely change its embeddings.</summary>
    private static void Shake(SiglipVisionModel model)
    {
        using var noGradients = torch.no_grad();
        using DisposeScope scope = torch.NewDisposeScope();
        foreach (torch.Tensor parameter in model.state_dict().Values)
            parameter.add_(torch.randn_like(parameter).mul_(0.3));
    }

    public static string NewPath(string name) => Path.Combine(_folder, name);

    public static string SaveImage(string name, int width, int height, Func<int, int, SKColor> color)
    {
        // Written as bytes: SetPixel would multiply the color by alpha.
        byte[] rgba = [.. from y in Enumerable.Range(0, height)
                          from x in Enumerable.Range(0, width)
                          let pixel = color(x, y)
                          from value in (byte[])[pixel.Red, pixel.Green, pixel.Blue, pixel.Alpha]
                          select value];
        using var bitmap = new SKBitmap(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Unpremul));
        Marshal.Copy(rgba, 0, bitmap.GetPixels(), rgba.Length);
        string path = Path.Combine(ImageFolder, name);
        using SKData data = bitmap.Encode(name.EndsWith("jpg", StringComparison.Ordinal) ? SKEncodedImageFormat.Jpeg : SKEncodedImageFormat.Png, 90);
        File.WriteAllBytes(path, data.ToArray());
        return path;
    }

    public static SiglipImageFeaturizingOptions Options(string input, params (string Name, SiglipOutputKind Kind)[] columns) => new()
    {
        InputColumnName = input,
        Columns = columns.ToDictionary(column => column.Name, column => column.Kind),
        Model = Checkpoint,
    };

    /// <summary>What the embedder itself gives, image by image.</summary>
    public static float[][] Expected(SiglipOutputKind kind, IEnumerable<string>? images = null, bool normalize = false)
    {
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(
            Checkpoint, new SiglipImageEmbedderOptions { Output = FeaturizedSchema.FlagOf(kind), Normalize = normalize });
        return [.. (images ?? Images).Select(embedder.Embed)];
    }

    public static IDataView Data(MLContext mlContext, IEnumerable<string>? images = null) =>
        mlContext.Data.LoadFromEnumerable((images ?? Images).Select((path, i) => new ImageRow
        {
            Path = path,
            FileName = Path.GetFileName(path),
            Bytes = File.Exists(path) ? File.ReadAllBytes(path) : [],
            Number = i,
            Vector = [.. Enumerable.Range(0, i).Select(n => n + (100f * i))],
            Name = $"image {i}",
            Group = $"group {i % 3}",
        }).ToArray());

    public static void AreClose(float[][] expected, float[][] actual, float tolerance = Tolerance)
    {
        Assert.HasCount(expected.Length, actual);
        for (int row = 0; row < expected.Length; row++)
        {
            Assert.HasCount(expected[row].Length, actual[row]);
            for (int i = 0; i < expected[row].Length; i++)
                Assert.AreEqual(expected[row][i], actual[row][i], tolerance, $"row {row}, value {i}");
        }
    }

    /// <summary>Equal to the bit.</summary>
    public static void AreSame(float[][] expected, float[][] actual)
    {
        Assert.HasCount(expected.Length, actual);
        for (int row = 0; row < expected.Length; row++)
            CollectionAssert.AreEqual(expected[row], actual[row], $"row {row}");
    }

    public static float[][] Vectors(IDataView data, string column) => [.. data.GetColumn<float[]>(column)];
}

/// <summary>A row with an image in three forms, and other columns.</summary>
public sealed class ImageRow
{
    public string Path { get; set; } = "";

    public string FileName { get; set; } = "";

    public byte[] Bytes { get; set; } = [];

    public float Number { get; set; }

    public float[] Vector { get; set; } = [];

    public string Name { get; set; } = "";

    public string Group { get; set; } = "";
}
