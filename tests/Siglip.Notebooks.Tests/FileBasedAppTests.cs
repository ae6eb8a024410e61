using System.Diagnostics;
using System.Text.RegularExpressions;

namespace Siglip.Notebooks.Tests;

/// <summary>The notebooks run as file-based apps, and print and display the same.</summary>
[TestClass]
[DoNotParallelize]
public sealed partial class FileBasedAppTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    public static IEnumerable<object[]> Names => RepositoryFolder.Names;

    [TestMethod]
    [DynamicData(nameof(Names))]
    public async Task An_app_prints_and_displays_what_its_notebook_does(string name)
    {
        Notebook stored = Notebook.Parse(await File.ReadAllTextAsync(RepositoryFolder.Notebook(name)));
        (string printed, string errors) = await RunAsync(name);

        string? difference = OutputComparison.Difference(string.Concat(stored.Cells.SelectMany(cell => cell.Outputs).Where(output => output.MimeType is null).Select(output => output.Text)), printed);
        Assert.IsNull(difference, errors);

        string page = new Uri(PageAddress().Match(errors).Value).LocalPath;
        string[] displayed = [.. Section().Matches(await File.ReadAllTextAsync(page)).Select(section => section.Groups[1].Value)];
        Directory.Delete(Path.GetDirectoryName(page)!, recursive: true);
        Assert.IsNull(OutputComparison.Difference(
            [.. stored.Cells.SelectMany(cell => cell.Outputs).Where(output => output.MimeType is not null)],
            [.. displayed.Select(piece => new NotebookOutput("text/html", piece))]));
    }

    private static async Task<(string Printed, string Errors)> RunAsync(string name)
    {
        var start = new ProcessStartInfo("dotnet", ["run", "-c", "Release", RepositoryFolder.App(name)])
        {
            WorkingDirectory = RepositoryFolder.Path,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["MSBUILDDISABLENODEREUSE"] = "1", ["DOTNET_CLI_USE_MSBUILD_SERVER"] = "0" }, // nothing stays behind that holds the output open
        };
        using Process process = Process.Start(start)!;
        using var patience = new CancellationTokenSource(Patience);
        try
        {
            Task<string> printed = process.StandardOutput.ReadToEndAsync(patience.Token), errors = process.StandardError.ReadToEndAsync(patience.Token);
            await process.WaitForExitAsync(patience.Token);
            Assert.AreEqual(0, process.ExitCode, $"{await printed}\n{await errors}");
            return ((await printed).ReplaceLineEndings("\n"), await errors);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"{name} did not end within {Patience}.");
            throw;
        }
    }

    [GeneratedRegex(@"file://\S+\.html")]
    private static partial Regex PageAddress();

    [GeneratedRegex("<section>(.*?)</section>", RegexOptions.Singleline)]
    private static partial Regex Section();
}
