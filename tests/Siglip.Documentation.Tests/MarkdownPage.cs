using System.Text.RegularExpressions;

namespace Siglip.Documentation.Tests;

/// <summary>A page whose C# is one program: its <c>csharp</c> blocks, in order, are Program.cs, and a <c>text</c> block is what the block before it prints.
/// A block that begins with a comment that is a file's name, such as <c>// classify.cs</c>, begins another program.</summary>
/// <param name="Name">The page, as messages name it.</param>
/// <param name="Blocks">The C# of the page.</param>
internal sealed partial record MarkdownPage(string Name, IReadOnlyList<CodeBlock> Blocks)
{
    private const string Fence = "```";

    /// <exception cref="InvalidDataException">A block is not closed, or a text block follows no C#.</exception>
    public static MarkdownPage Parse(string name, string markdown)
    {
        string[] lines = markdown.ReplaceLineEndings("\n").Split('\n');
        var blocks = new List<CodeBlock>();
        bool printed = true; // what the last block prints has been shown, or there is no block yet
        for (int i = 0; i < lines.Length; i++)
        {
            if (!lines[i].StartsWith(Fence, StringComparison.Ordinal))
                continue;

            string language = lines[i][Fence.Length..];
            int first = i + 1;
            for (i = first; i < lines.Length && lines[i] != Fence; i++)
            {
            }

            if (i == lines.Length)
                throw new InvalidDataException($"{name}({first}): the block is not closed.");
            if (language == "text" && printed)
                throw new InvalidDataException($"{name}({first}): a text block is what the C# before it prints, and there is none. Give it another language.");

            if (language == "csharp")
                blocks.Add(new CodeBlock(blocks.Count + 1, first + 1, lines[first..i], []));
            else if (language == "text")
                blocks[^1] = blocks[^1] with { Output = lines[first..i] };
            printed = language != "csharp";
        }

        return new MarkdownPage(name, blocks);
    }

    /// <summary>The page's programs, each as a page of its own, in order.</summary>
    public IEnumerable<MarkdownPage> Programs
    {
        get
        {
            int[] starts = [0, .. Blocks.Index().Skip(1).Where(block => block.Item.Code is [{ } line, ..] && FileName().IsMatch(line)).Select(block => block.Index), Blocks.Count];
            return starts.Zip(starts.Skip(1), (first, next) => this with { Blocks = [.. Blocks.Take(first..next)] });
        }
    }

    /// <summary>Where a block stands, for messages.</summary>
    public string Place(CodeBlock block) => $"{Name}({block.Line}), block {block.Number}";

    [GeneratedRegex(@"^// [\w-]+\.cs\b")]
    private static partial Regex FileName();
}
