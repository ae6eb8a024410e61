using System.Diagnostics;

namespace Siglip.Cli.Tests;

/// <summary>What a verb loads before it has anything to do.</summary>
[TestClass]
[OSCondition(OperatingSystems.Linux)]
public sealed class StartTests
{
    [TestMethod]
    [DataRow("--help")]
    [DataRow("embed --help")]
    [DataRow("embed image.png --output e.npy --batch-size 0")]
    [DataRow("info nano")]
    [DataRow("info --variants")]
    public void Verbs_that_do_not_compute_do_not_load_libtorch(string arguments) =>
        Assert.DoesNotContain("libtorch_cpu.so", LoadedLibraries(arguments.Split(' ')));

    [TestMethod]
    public void Verbs_that_compute_load_libtorch()
    {
        using var folder = new TestFolder();
        string image = Directory.GetFiles(Path.Combine(TestFolder.NewSamples, "cat"))[0];
        string libraries = LoadedLibraries("embed", image, "--output", Path.Combine(folder.Path, "e.npy"));

        Assert.Contains("libtorch_cpu.so", libraries);
        Assert.IsTrue(File.Exists(Path.Combine(folder.Path, "e.npy")));
    }

    // What the dynamic linker says on standard error of the files that it opens.
    private static string LoadedLibraries(params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "siglip.dll"), .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["LD_DEBUG"] = "files" },
        };
        using var process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string errors = process.StandardError.ReadToEnd();
        output.Wait();
        process.WaitForExit();
        return errors;
    }
}
