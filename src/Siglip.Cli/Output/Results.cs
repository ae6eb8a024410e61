using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Spectre.Console;

namespace Siglip.Cli;

/// <summary>Writes results to standard output.</summary>
internal static class Results
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Text that cannot move the cursor or change colours: names come from files of others.</summary>
    public static string Printable(string text) => string.Concat(text.Select(character => char.IsControl(character) ? '\uFFFD' : character));

    public static void WriteJson(JsonNode node) => Console.WriteLine(node.ToJsonString(Indented));

    /// <summary>Writes a table; without a heading if all headings are empty. Cells are never broken, because paths are copied from them: a table that is too
    /// wide for the terminal is plain text, whose lines go on in the next one.</summary>
    public static void WriteTable(string[] headings, IEnumerable<string[]> rows)
    {
        var table = new Table { Border = TableBorder.None, ShowHeaders = headings.Any(heading => heading.Length > 0) };
        foreach (string heading in headings)
            table.AddColumn(new TableColumn(Markup.Escape(heading)) { NoWrap = true, Padding = new Padding(0, 0, 2, 0) });
        foreach (string[] row in rows)
            table.AddRow([.. row.Select(cell => Markup.Escape(Printable(cell)))]);

        string[] lines = Plain(table);
        if (Console.IsOutputRedirected || lines.Max(Width) > AnsiConsole.Profile.Width)
        {
            foreach (string line in lines)
                Console.WriteLine(line);
            return;
        }

        foreach ((TableColumn column, string heading) in table.Columns.Zip(headings))
            column.Header = new Markup(Markup.Escape(heading), new Style(decoration: Decoration.Bold));
        AnsiConsole.Write(table);
    }

    // Nothing is wrapped or padded for a file or another program.
    private static string[] Plain(Table table)
    {
        using var text = new StringWriter();
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(text) });
        console.Profile.Width = 100_000;
        console.Write(table);
        return [.. text.ToString().TrimEnd().Split('\n').Select(line => line.TrimEnd())];
    }

    // In columns of a terminal, of which East Asian characters take two.
    private static int Width(string line) => line.Sum(character => character >= '\u1100' ? 2 : 1) + 2; // the padding of the last column
}
