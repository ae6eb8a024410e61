using System.Diagnostics;

namespace Siglip.Cli.Tests;

/// <summary>An application without a package with libtorch.</summary>
[TestClass]
public sealed class MissingBackendTests
{
    private const string Message = "The native libraries of libtorch were not found. Add ONE of the packages TorchSharp-cpu, TorchSharp-cuda-linux or TorchSharp-cuda-windows, version 0.107.0";

    [TestMethod]
    public void One_sentence_names_the_packages_whatever_comes_first()
    {
        using var folder = new TestFolder();
        string application = CopyWithoutNatives(folder);
        string image = Directory.GetFiles(Path.Combine(TestFolder.NewSamples, "cat"))[0];

        string[][] commands = [["embed", image, "--output", "e.npy"], ["train", TestFolder.Samples, "--output", "m.zip"], ["predict", "nano", image],
            ["forward", "--input", Path.Combine(TestFolder.VisionOnly, "expected.safetensors"), "--output", "y.safetensors"],
            ["finetune", TestFolder.Samples, "--model", "nano", "--output", "out"]];
        foreach (string[] command in commands)
        {
            (int exitCode, string errors) = Run(Path.Combine(application, "siglip.dll"), folder.Path, command);
            Assert.AreEqual(1, exitCode);
            Assert.StartsWith($"siglip: {Message}", errors.TrimEnd());
            Assert.HasCount(1, errors.TrimEnd().Split('\n'), errors);
        }
    }

    [TestMethod]
    public void A_pipelines_Fit_says_it_too()
    {
        using var folder = new TestFolder();
        string application = CopyWithoutNatives(folder);
        Directory.CreateSymbolicLink(Path.Combine(folder.Path, "samples"), Path.Combine(AppContext.BaseDirectory, "samples"));

        (int exitCode, string errors) = Run(Path.Combine(application, "Pipeline.dll"), folder.Path);

        Assert.AreNotEqual(0, exitCode);
        Assert.Contains(Message, errors);
    }

    private static string CopyWithoutNatives(TestFolder folder)
    {
        string application = Directory.CreateDirectory(Path.Combine(folder.Path, "application")).FullName;
        foreach (string file in Directory.GetFiles(AppContext.BaseDirectory))
        {
            string name = Path.GetFileName(file);
            bool isNative = name.StartsWith("lib", StringComparison.Ordinal) && !name.StartsWith("libSkiaSharp", StringComparison.Ordinal);
            if (!isNative && !name.EndsWith(".deps.json", StringComparison.Ordinal)) // without a list of dependencies the folder's files count
                File.Copy(file, Path.Combine(application, name));
        }

        return application;
    }

    private static (int ExitCode, string Errors) Run(string application, string folder, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo("dotnet", [application, .. arguments]) { WorkingDirectory = folder, RedirectStandardError = true })!;
        string errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, errors);
    }
}
