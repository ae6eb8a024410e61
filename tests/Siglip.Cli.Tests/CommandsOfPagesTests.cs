using System.Text.RegularExpressions;

namespace Siglip.Cli.Tests;

/// <summary>The commands in <c>console</c> blocks of the documentation run, in order, and print what stands under them.</summary>
[TestClass]
public sealed partial class CommandsOfPagesTests
{
    private const string Prompt = "$ siglip ", Anything = "…";

    private static string PagesFolder { get; } = Path.Combine(AppContext.BaseDirectory, "pages");

    public static IEnumerable<object[]> Pages =>
        from file in Directory.EnumerateFiles(PagesFolder, "*.md", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
        where ConsoleBlock().IsMatch(Text(file))
        select new object[] { Path.GetRelativePath(PagesFolder, file).Replace('\\', '/') };

    [TestMethod]
    [DynamicData(nameof(Pages))]
    public void The_commands_of_a_page_print_what_it_shows(string page)
    {
        using var folder = new TestFolder();
        foreach (string name in (string[])["samples", "models"])
            Directory.CreateSymbolicLink(Path.Combine(folder.Path, name), Path.Combine(AppContext.BaseDirectory, name));

        foreach ((string command, string[] shown) in Commands(Text(Path.Combine(PagesFolder, page))))
        {
            string[] printed = [.. SiglipProcess.Run(folder.Path, command.Split(' ')).Succeeded().Output.ReplaceLineEndings("\n").TrimEnd('\n').Split('\n').Select(line => line.TrimEnd())];
            Assert.IsTrue(Shows(shown, printed), $"{page}: siglip {command} prints\n{string.Join('\n', printed)}\nand the page shows\n{string.Join('\n', shown)}");
        }
    }

    [TestMethod]
    public void An_ellipsis_stands_for_the_rest_of_a_line_or_for_lines()
    {
        (string command, string[] shown) = Commands("```console\n$ siglip info nano\na …\n…\nz\n```\n").Single();

        Assert.AreEqual("info nano", command);
        Assert.IsTrue(Shows(shown, ["a 1", "z"]));
        Assert.IsTrue(Shows(shown, ["a 1", "b", "c", "z"]));
        Assert.IsFalse(Shows(shown, ["a 1", "b", "c"]));
        Assert.IsFalse(Shows(shown, ["a", "z"]));
        Assert.IsFalse(Shows(["a"], ["a", "b"]));
        Assert.ThrowsExactly<InvalidDataException>(() => Commands("```console\nls\n```\n").ToArray());
    }

    /// <summary>The commands of a page's blocks, each with the lines under it.</summary>
    private static IEnumerable<(string Command, string[] Shown)> Commands(string markdown)
    {
        foreach (string block in ConsoleBlock().Matches(markdown).Select(match => match.Groups[1].Value))
        {
            string[] lines = block.Split('\n');
            if (!lines[0].StartsWith(Prompt, StringComparison.Ordinal))
                throw new InvalidDataException($"A console block begins with '{lines[0]}', expected '{Prompt}' and its arguments.");

            int[] starts = [.. lines.Index().Where(line => line.Item.StartsWith(Prompt, StringComparison.Ordinal)).Select(line => line.Index), lines.Length];
            foreach ((int first, int next) in starts.Zip(starts.Skip(1)))
                yield return (lines[first][Prompt.Length..], lines[(first + 1)..next]);
        }
    }

    private static bool Shows(string[] shown, string[] printed)
    {
        IEnumerable<string> patterns = shown.Select(line => line == Anything ? "(.*\n)*" : Regex.Escape(line).Replace(Anything, ".*", StringComparison.Ordinal) + "\n");
        return Regex.IsMatch(string.Concat(printed.Select(line => $"{line}\n")), $"^{string.Concat(patterns)}$", RegexOptions.CultureInvariant);
    }

    private static string Text(string file) => File.ReadAllText(file).ReplaceLineEndings("\n");

    [GeneratedRegex("^```console\n(.*?)\n```$", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex ConsoleBlock();
}
