namespace Siglip.Cli.Tests;

/// <summary>What is said beside the results.</summary>
[TestClass]
public sealed class VerbosityTests
{
    [TestMethod]
    public void Quiet_says_nothing_but_results()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 10);

        foreach (string[] arguments in (string[][])[["embed", images, "--output", "e.npy"], ["train", images, "--output", "m.zip"], ["evaluate", "m.zip", images], ["predict", "nano", images],
            ["export-onnx", "nano", "--output", "n.onnx"], ["finetune", images, "--model", "nano", "--output", "o", "--epochs", "1", "--validation-share", "0"], ["info", "nano"]])
        {
            SiglipResult result = SiglipProcess.Run(folder.Path, [.. arguments, "--quiet"]).Succeeded();
            Assert.AreEqual("", result.Errors, arguments[0]);
            Assert.AreEqual(arguments[0] is "embed" or "export-onnx" or "finetune", result.Output.Length == 0, $"{arguments[0]}: {result.Output}");
            Assert.DoesNotContain("The model is in", result.Output);
        }

        SiglipResult bad = SiglipProcess.Run(folder.Path, "predict", "nano", "gone.png", "-q");
        Assert.AreEqual(3, bad.ExitCode);
        Assert.Contains("siglip: 1 of 1 images could not be read.", bad.Errors, "errors are said");
    }

    [TestMethod]
    public void Verbose_says_what_is_loaded_and_what_computes()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 2);
        SiglipProcess.Run(folder.Path, "train", images, "--output", "m.zip").Succeeded();

        foreach (string[] arguments in (string[][])[["embed", images, "--output", "e.npy", "--batch-size", "3"], ["predict", "nano", images], ["train", images, "--output", "n.zip"]])
        {
            SiglipResult result = SiglipProcess.Run(folder.Path, [.. arguments, "--verbose"]).Succeeded();
            Assert.MatchesRegex(@"^siglip: siglip 0\.\S+, TorchSharp \d+\.\d+\.\d+, \.NET 10\.\S+, .+ processors\n", result.Errors);
            Assert.MatchesRegex(@"\nsiglip: model nano, built in: SiglipVisionModel, 0\.9 M parameters, stored as float16, model\.safetensors, SHA-256 [0-9a-f]{64}\n", result.Errors);
            Assert.MatchesRegex(@"\nsiglip: computes on cpu with \d+ threads, in float32, \d+ images in one forward pass\n", result.Errors);
        }

        Assert.Contains("siglip: model m.zip: saved ML.NET model, 2 classes, computes on cpu\n", SiglipProcess.Run(folder.Path, "predict", "m.zip", images, "-v").Succeeded().Errors);
    }

    [TestMethod]
    public void Both_are_too_much()
    {
        using var folder = new TestFolder();

        SiglipResult result = SiglipProcess.Run(folder.Path, "info", "nano", "-q", "-v");

        Assert.AreEqual(2, result.ExitCode);
        Assert.Contains("--quiet and --verbose are given; name one of them, not both.", result.Errors);
    }

    [TestMethod]
    public void A_summary_says_how_many_images_how_fast_and_where_the_result_is()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 2);

        SiglipResult embedded = SiglipProcess.Run(folder.Path, "embed", images, "gone.png", "--output", "e.npy", "--on-error", "missing");
        Assert.AreEqual("5 images to e.npy: float32 [5, 128]\n", embedded.Output);
        Assert.MatchesRegex(@"\nsiglip: 5 images, 1 failed, [\d.]+ images/s; the embeddings are in e\.npy\.\n$", embedded.Errors);
        string image = Directory.GetFiles(Path.Combine(images, "frog"))[0];
        Assert.MatchesRegex(@"^siglip: 1 image, 0 failed, [\d.]+ images/s; the pictures are in x\.\n$", SiglipProcess.Run(folder.Path, "explain", image, "--output", "x").Succeeded().Errors);
        Assert.MatchesRegex(@"\bsiglip: 4 images, 0 failed, [\d.]+ images/s; the map is in y\.\n$", SiglipProcess.Run(folder.Path, "explain", images, "--output", "y").Succeeded().Errors);
        Assert.MatchesRegex(@"\bsiglip: 4 images, 0 failed, [\d.]+ images/s; the model is in m\.zip\.\n$", SiglipProcess.Run(folder.Path, "train", images, "--output", "m.zip").Succeeded().Errors);
        Assert.MatchesRegex(@"^siglip: 4 images, 0 failed, [\d.]+ images/s\.\n$", SiglipProcess.Run(folder.Path, "evaluate", "m.zip", images).Succeeded().Errors);
        SiglipResult predicted = SiglipProcess.Run(folder.Path, "predict", "nano", images, "gone.png");
        Assert.MatchesRegex(@"\nsiglip: 5 images, 1 failed, [\d.]+ images/s\.\n$", predicted.Errors);
    }
}
