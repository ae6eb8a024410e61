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

    /// <summary>Writes a table; without a heading if all headings are empty.</summary>
    public static void WriteTable(string[] headings, IEnumerable<string[]> rows)
    {
        var table = new Table { Border = TableBorder.None, ShowHeaders = headings.Any(heading => heading.Length > 0) };
        foreach (string heading in headings)
            table.AddColumn(new TableColumn(Markup.Escape(heading)) { NoWrap = Console.IsOutputRedirected, Padding = new Padding(0, 0, 2, 0) });
        foreach (string[] row in rows)
            table.AddRow([.. row.Select(cell => Markup.Escape(Printable(cell)))]);

        if (!Console.IsOutputRedirected)
        {
            AnsiConsole.Write(table);
            return;
        }

        // Nothing is wrapped or padded for a file or another program.
        using var text = new StringWriter();
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(text) });
        console.Profile.Width = 100_000;
        console.Write(table);
        foreach (string line in text.ToString().TrimEnd().Split('\n'))
            Console.WriteLine(line.TrimEnd());
    }
}
