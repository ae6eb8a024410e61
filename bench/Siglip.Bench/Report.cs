using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Siglip.Bench;

/// <summary>The file with a verb's figures.</summary>
internal static class Report
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    public static Option<string> Option(string name) => new("--output")
    {
        Description = "The file for the figures.",
        DefaultValueFactory = _ => Path.Combine("bench", "results", name),
    };

    public static void Write(string output, JsonObject document)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(output))!);
        File.WriteAllText(output, document.ToJsonString(Indented) + "\n");
    }
}
