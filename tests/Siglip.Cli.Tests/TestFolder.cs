namespace Siglip.Cli.Tests;

/// <summary>A folder that is deleted when the test ends.</summary>
internal sealed class TestFolder : IDisposable
{
    public static string Samples { get; } = System.IO.Path.Combine(AppContext.BaseDirectory, "samples", "cifar10");

    public static string NewSamples { get; } = System.IO.Path.Combine(AppContext.BaseDirectory, "samples", "cifar10-new");

    public static string VisionOnly { get; } = System.IO.Path.Combine(AppContext.BaseDirectory, "vision_only");

    /// <summary>A model with a classifier of five classes: 32 x 32 pixels, patches of 8 x 8.</summary>
    public static string Classifier { get; } = System.IO.Path.Combine(AppContext.BaseDirectory, "image_classification");

    /// <summary>A model with variable resolution: at most 22 patches of 8 x 8 pixels, hidden size 32.</summary>
    public static string NaFlex { get; } = System.IO.Path.Combine(AppContext.BaseDirectory, "naflex");

    /// <summary>A photo with EXIF orientation 6.</summary>
    public static string TurnedPhoto { get; } = System.IO.Path.Combine(AppContext.BaseDirectory, "turned.jpg");

    public static string WideImage { get; } = System.IO.Path.Combine(AppContext.BaseDirectory, "wide.png");

    public string Path { get; } = Directory.CreateTempSubdirectory("siglip-cli-test-").FullName;

    /// <summary>Copies some sample images of two classes into class folders.</summary>
    public string WriteImages(string name, int perClass = 4, string[]? labels = null)
    {
        foreach (string label in labels ?? ["frog", "ship"])
        {
            string to = Directory.CreateDirectory(System.IO.Path.Combine(Path, name, label)).FullName;
            foreach (string file in Directory.GetFiles(System.IO.Path.Combine(Samples, label)).Order(StringComparer.Ordinal).Take(perClass))
                File.Copy(file, System.IO.Path.Combine(to, System.IO.Path.GetFileName(file)));
        }

        return System.IO.Path.Combine(Path, name);
    }

    /// <summary>A copy of a small checkpoint, to be damaged.</summary>
    public string CopyCheckpoint(string name, string? from = null)
    {
        string to = Directory.CreateDirectory(System.IO.Path.Combine(Path, name)).FullName;
        foreach (string file in (string[])["config.json", "preprocessor_config.json", "model.safetensors"])
            File.WriteAllBytes(System.IO.Path.Combine(to, file), File.ReadAllBytes(System.IO.Path.Combine(from ?? VisionOnly, file)));
        return to;
    }

    /// <summary>Everything in the folder, hidden files too.</summary>
    public string[] Entries(string name = "") =>
        [.. Directory.GetFileSystemEntries(System.IO.Path.Combine(Path, name)).Select(entry => System.IO.Path.GetFileName(entry)).Order(StringComparer.Ordinal)];

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
