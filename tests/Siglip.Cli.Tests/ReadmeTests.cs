using System.Diagnostics;
using System.Text.RegularExpressions;

namespace Siglip.Cli.Tests;

/// <summary>What the README shows is a program, which runs.</summary>
[TestClass]
public sealed partial class ReadmeTests
{
    private static string Text(string file) => File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "readme", file)).ReplaceLineEndings("\n");

    [TestMethod]
    public void Every_piece_of_CSharp_in_the_README_is_a_snippet_of_the_sample()
    {
        string[] shown = [.. CodeBlock().Matches(Text("README.md")).Select(match => match.Groups[1].Value)];
        string[] snippets = [.. Snippet().Matches(Text("Program.cs")).Select(match => match.Groups[1].Value.Replace("\n    ", "\n", StringComparison.Ordinal)[4..])];

        Assert.HasCount(5, snippets);
        Assert.DoesNotMatchRegex(new Regex("@[A-Z]+@"), Text("README.md"), "a place that is still to be filled");
        CollectionAssert.AreEquivalent(snippets, shown);
    }

    [TestMethod]
    public void The_sample_trains_saves_loads_predicts_and_embeds()
    {
        using var folder = new TestFolder();
        Directory.CreateSymbolicLink(Path.Combine(folder.Path, "samples"), Path.Combine(AppContext.BaseDirectory, "samples"));
        using var process = Process.Start(new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "Pipeline.dll")])
        {
            WorkingDirectory = folder.Path,
            RedirectStandardOutput = true,
        })!;

        string[] lines = process.StandardOutput.ReadToEnd().TrimEnd().Split('\n');
        process.WaitForExit();

        Assert.AreEqual(0, process.ExitCode);
        Assert.HasCount(13, lines);
        foreach (string line in lines[..5])
            Assert.MatchesRegex(new Regex(@"^samples/cifar10-new/ship/\d+\.png: (airplane|automobile|bird|cat|deer|dog|frog|horse|ship|truck)$"), line);
        foreach (string line in lines[5..10])
            Assert.MatchesRegex(new Regex(@"^samples/cifar10-new/cat/\d+\.png: 128 values, 8 x 8 patches$"), line);
        Assert.AreEqual("128 values", lines[10]);
        Assert.AreEqual("[1, 196, 768]", lines[11]);
        Assert.AreEqual("192 patches", lines[12]);
    }

    [TestMethod]
    public void The_commands_that_fine_tune_are_understood()
    {
        string[] commands = [.. FinetuneCommand().Matches(Text("README.md") + Text("fine-tuning.md")).Select(match => match.Groups[1].Value)];

        Assert.HasCount(6, commands);
        foreach (string command in commands)
            Assert.IsEmpty(FinetuneVerb.Create().Parse(command.Split(' ')).Errors, command);
    }

    [TestMethod]
    public void The_READMEs_fine_tuned_model_predicts()
    {
        using var folder = new TestFolder();
        Directory.CreateSymbolicLink(Path.Combine(folder.Path, "samples"), Path.Combine(AppContext.BaseDirectory, "samples"));
        string[] commands = [.. FineTuningSection().Match(Text("README.md")).Groups[1].Value.Split('\n')];

        Assert.HasCount(2, commands);
        SiglipProcess.Run(folder.Path, commands[0].Replace("--epochs 10", "--epochs 1", StringComparison.Ordinal).Split(' ')[1..]).Succeeded();
        Assert.Contains("samples/cifar10-new/ship/", SiglipProcess.Run(folder.Path, commands[1].Split(' ')[1..]).Succeeded().Output);
    }

    [GeneratedRegex("^siglip finetune (samples.*)$", RegexOptions.Multiline)]
    private static partial Regex FinetuneCommand();

    [GeneratedRegex("## Fine-tuning\n.*?```\n(.*?)\n```", RegexOptions.Singleline)]
    private static partial Regex FineTuningSection();

    [GeneratedRegex("```csharp\n(.*?)\n```", RegexOptions.Singleline)]
    private static partial Regex CodeBlock();

    [GeneratedRegex(@"begin-snippet: \w+\n(.*?)\n    // end-snippet", RegexOptions.Singleline)]
    private static partial Regex Snippet();
}
