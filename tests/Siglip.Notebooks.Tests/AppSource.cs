using Microsoft.ML;
using TorchSharp;

namespace Siglip.Notebooks.Tests;

/// <summary>A file-based app that is a notebook, too: comments divide it into cells, in the "percent" format of Jupytext and of editors.</summary>
/// <remarks>
/// <c>// %% [markdown]</c> begins a cell of text, whose lines are comments, and <c>// %%</c> one of C#. Where an app references projects, the notebook references
/// packages. Types stand in a cell <c>// %% [types]</c> at the end of the app, where C# wants them; the notebook has it before the cells that use it, after the
/// one with the using directives.
/// </remarks>
internal static class AppSource
{
    private const string Marker = "// %%", Markdown = "// %% [markdown]", Types = "// %% [types]";

    /// <exception cref="InvalidDataException">The file does not begin with a cell, has an unknown kind of it, or text that is no comment.</exception>
    public static Notebook ToNotebook(string name, string source)
    {
        string[] lines = source.TrimEnd('\n').Split('\n');
        if (!lines[0].StartsWith(Marker, StringComparison.Ordinal))
            throw new InvalidDataException($"{name}(1): expected a line that begins a cell, such as '{Markdown}'.");

        var cells = new List<NotebookCell>();
        NotebookCell? types = null;
        for (int first = 0, next; first < lines.Length; first = next)
        {
            next = Array.FindIndex(lines, first + 1, line => line.StartsWith(Marker, StringComparison.Ordinal));
            next = next < 0 ? lines.Length : next;
            string text = string.Join('\n', lines[(first + 1)..next]).Trim('\n');
            switch (lines[first])
            {
                case Markdown:
                    cells.Add(new NotebookCell(false, string.Join('\n', text.Split('\n').Select((line, i) => Uncomment(line, $"{name}({first + 2 + i})"))), []));
                    break;
                case Types when next == lines.Length:
                    types = new NotebookCell(true, text, []);
                    break;
                case Marker:
                    cells.Add(new NotebookCell(true, text.StartsWith("#:", StringComparison.Ordinal) ? References() : text, []));
                    break;
                default:
                    throw new InvalidDataException($"{name}({first + 1}): expected '{Markdown}', '{Marker}', or '{Types}' for the last cell.");
            }
        }

        if (types is not null)
            cells.Insert(cells.FindIndex(cell => cell.IsCode && !cell.IsReferences) + 1, types);
        return new Notebook(cells);
    }

    private static string Uncomment(string line, string place) =>
        line == "//" ? "" : line.StartsWith("// ", StringComparison.Ordinal) ? line[3..] : throw new InvalidDataException($"{place}: text in a cell of Markdown is a comment.");

    private static string References() => $"""
        #r "nuget: Siglip.MLNet, {Version(typeof(SiglipCatalog))}"
        #r "nuget: TorchSharp-cpu, {Version(typeof(torch))}"
        """;

    private static string Version(Type type) => type.Assembly.GetName().Version!.ToString(3);
}
