using System.Text.Json;
using System.Text.Json.Nodes;

namespace Siglip.Notebooks.Tests;

/// <summary>A notebook for the C# kernel of .NET Interactive (Polyglot Notebooks).</summary>
internal sealed record Notebook(IReadOnlyList<NotebookCell> Cells)
{
    private static readonly JsonSerializerOptions Format = new()
    {
        WriteIndented = true,
        IndentSize = 1,
        NewLine = "\n",
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Reads what <see cref="ToJson"/> writes, or an editor that has saved it.</summary>
    public static Notebook Parse(string json) => new([.. JsonNode.Parse(json)!["cells"]!.AsArray().Select(cell => new NotebookCell(
        (string)cell!["cell_type"]! == "code",
        Text(cell["source"]!),
        cell["outputs"] is { } outputs ? [.. outputs.AsArray().Select(output => Output(output!))] : []))]);

    /// <summary>nbformat 4.2, as the editor writes it.</summary>
    public string ToJson() => new JsonObject
    {
        ["cells"] = new JsonArray([.. Cells.Select((cell, i) => Cell(cell, Cells.Take(i + 1).Count(other => other.IsCode)))]),
        ["metadata"] = new JsonObject
        {
            ["kernelspec"] = new JsonObject { ["display_name"] = ".NET (C#)", ["language"] = "C#", ["name"] = ".net-csharp" },
            ["language_info"] = new JsonObject { ["file_extension"] = ".cs", ["mimetype"] = "text/x-csharp", ["name"] = "C#", ["pygments_lexer"] = "csharp" },
            ["polyglot_notebook"] = new JsonObject
            {
                ["kernelInfo"] = new JsonObject
                {
                    ["defaultKernelName"] = "csharp",
                    ["items"] = new JsonArray(new JsonObject { ["aliases"] = new JsonArray(), ["name"] = "csharp" }),
                },
            },
        },
        ["nbformat"] = 4,
        ["nbformat_minor"] = 2,
    }.ToJsonString(Format) + "\n";

    private static JsonObject Cell(NotebookCell cell, int number) => cell.IsCode
        ? new JsonObject
        {
            ["cell_type"] = "code",
            ["execution_count"] = number,
            ["metadata"] = new JsonObject
            {
                ["dotnet_interactive"] = new JsonObject { ["language"] = "csharp" },
                ["polyglot_notebook"] = new JsonObject { ["kernelName"] = "csharp" },
            },
            ["outputs"] = new JsonArray([.. cell.Outputs.Select(Output)]),
            ["source"] = Lines(cell.Source),
        }
        : new JsonObject { ["cell_type"] = "markdown", ["metadata"] = new JsonObject(), ["source"] = Lines(cell.Source) };

    private static JsonObject Output(NotebookOutput output) => output.MimeType is { } mimeType
        ? new JsonObject { ["data"] = new JsonObject { [mimeType] = Lines(output.Text) }, ["metadata"] = new JsonObject(), ["output_type"] = "display_data" }
        : new JsonObject { ["name"] = "stdout", ["output_type"] = "stream", ["text"] = Lines(output.Text) };

    private static NotebookOutput Output(JsonNode output)
    {
        if (output["text"] is { } text)
            return new NotebookOutput(null, Text(text));
        if (output["data"] is not JsonObject data)
            throw new InvalidDataException($"The notebook holds an output of the type {output["output_type"]}: a cell has failed. Run it again.");

        (string mimeType, JsonNode? content) = data.Single();
        return new NotebookOutput(mimeType, Text(content!));
    }

    private static JsonArray Lines(string text)
    {
        string[] lines = text.Split('\n');
        return new JsonArray([.. lines.Select((line, i) => (JsonNode)(i < lines.Length - 1 ? line + "\n" : line)).Where((_, i) => i < lines.Length - 1 || lines[i].Length > 0)]);
    }

    private static string Text(JsonNode lines) => lines is JsonArray array ? string.Concat(array.Select(line => (string)line!)) : (string)lines!;
}
