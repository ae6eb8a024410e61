using System.Reflection;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Siglip.Documentation.Tests;

/// <summary>What a page of the repository links to is there: files, folders and headings.</summary>
[TestClass]
public sealed partial class LinkTests
{
    private static readonly string Repository =
        typeof(LinkTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(item => item.Key == "RepositoryFolder").Value!;

    private static readonly string[] BuildFolders = ["bin", "obj", "artifacts", "TestResults", "BenchmarkDotNet.Artifacts"];

    /// <summary>All Markdown of the repository, notebooks too.</summary>
    public static IEnumerable<object[]> Pages =>
        from file in Directory.EnumerateFiles(Repository, "*.*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
        let path = Path.GetRelativePath(Repository, file).Replace('\\', '/')
        where Path.GetExtension(path) is ".md" or ".ipynb" && !path.Split('/')[..^1].Any(folder => folder.StartsWith('.') || BuildFolders.Contains(folder))
        select new object[] { path };

    [TestMethod]
    [DynamicData(nameof(Pages))]
    public void Everything_that_a_page_links_to_is_there(string page) =>
        Assert.IsEmpty(Broken(page, Text(page)), page);

    [TestMethod]
    public void A_link_to_what_is_not_there_is_found()
    {
        Assert.AreSequenceEqual(
            ["nothing.md", "#no-such-heading", "docs/performance.md#no-such-heading", "../outside.md"],
            Broken("README.md", """
                [a](nothing.md) [b](#no-such-heading) [c](docs/performance.md#no-such-heading) [d](../outside.md) ![e](docs/fine-tuning-curves.png)
                [f](docs) [g](docs/performance.md#how-to-read-the-tables) [h](#a-heading-with-code-and-more) [i](https://example.com/nothing) `[j](nothing)`

                ```
                [k](nothing)
                ```

                ## A heading, with `code` and more!
                """));
    }

    private static string Text(string page)
    {
        string text = File.ReadAllText(Path.Combine(Repository, page)).ReplaceLineEndings("\n");
        return Path.GetExtension(page) == ".md"
            ? text
            : string.Join("\n\n", JsonDocument.Parse(text).RootElement.GetProperty("cells").EnumerateArray()
                .Where(cell => cell.GetProperty("cell_type").GetString() == "markdown")
                .Select(cell => string.Concat(cell.GetProperty("source").EnumerateArray().Select(line => line.GetString()))));
    }

    private static IEnumerable<string> Broken(string page, string text)
    {
        string prose = Prose(text);
        foreach (string target in Link().Matches(InlineCode().Replace(prose, "")).Select(match => match.Groups[1].Value))
        {
            if (Scheme().IsMatch(target))
                continue;

            string[] parts = target.Split('#', 2);
            string path = parts[0].Length == 0 ? page : Path.GetRelativePath(Repository, Path.GetFullPath(Path.Combine(Repository, Path.GetDirectoryName(page)!, Uri.UnescapeDataString(parts[0]))));
            string file = Path.Combine(Repository, path);
            bool isThere = !path.StartsWith("..", StringComparison.Ordinal) && (File.Exists(file) || (Directory.Exists(file) && parts.Length == 1));
            if (!isThere || (parts.Length > 1 && !Anchors(path == page ? prose : Prose(Text(path))).Contains(parts[1])))
                yield return target;
        }
    }

    /// <summary>A heading's anchor as GitHub makes it: lower case, spaces as hyphens, no punctuation; a number where headings are alike.</summary>
    private static HashSet<string> Anchors(string prose)
    {
        var anchors = new HashSet<string>();
        var seen = new Dictionary<string, int>();
        foreach (string heading in Heading().Matches(prose).Select(match => match.Groups[1].Value.Trim()))
        {
            string text = LinkText().Replace(heading, "$1");
            string anchor = Punctuation().Replace(text.ToLowerInvariant(), "").Replace(' ', '-');
            int before = seen.GetValueOrDefault(anchor);
            seen[anchor] = before + 1;
            anchors.Add(before == 0 ? anchor : $"{anchor}-{before}");
        }

        return anchors;
    }

    private static string Prose(string text) => CodeBlocks().Replace(text, "");

    [GeneratedRegex(@"^(`{3,}).*?^\1\s*$", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex CodeBlocks();

    [GeneratedRegex("`[^`\n]+`")]
    private static partial Regex InlineCode();

    [GeneratedRegex(@"\]\(<?([^)\s>]+)>?(?: ""[^""]*"")?\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"\[([^\]]*)\]\([^)]*\)")]
    private static partial Regex LinkText();

    [GeneratedRegex("^[a-z][a-z+.-]*:", RegexOptions.IgnoreCase)]
    private static partial Regex Scheme();

    [GeneratedRegex(@"^#{1,6} (.+)$", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex(@"[^\w\- ]")]
    private static partial Regex Punctuation();
}
