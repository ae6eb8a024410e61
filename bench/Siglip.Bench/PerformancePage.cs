using System.CommandLine;
using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Siglip.Bench;

/// <summary><c>all</c> and <c>page</c>: the tables of docs/performance.md, which are never typed by hand.</summary>
internal static class PerformancePage
{
    private const string Page = "docs/performance.md";

    // In the page's order. Each has a place between two comments there.
    private static readonly (string Verb, string File, Func<JsonObject, string> Tables)[] Sections =
    [
        ("models", "models.json", ModelsBenchmark.Tables),
        ("memory", "memory.json", MemoryBenchmark.Tables),
        (AccuracyBenchmark.Verb, "accuracy.json", AccuracyBenchmark.Tables),
        (GrowthBenchmark.Verb, "growth.json", GrowthBenchmark.Tables),
    ];

    public static Command CreateAll()
    {
        Option<string?>[] folders = [.. AccuracyBenchmark.FolderOptions.Select(option => new Option<string?>(option) { Description = "As of accuracy." })];
        var quick = new Option<bool>("--quick") { Description = "Each verb with --quick, to try it; figures and page go to a temporary folder." };
        var command = new Command("all", $"Measure all that {Page} shows, one verb after the other, and write its tables.") { quick };
        foreach (Option<string?> folder in folders)
            command.Add(folder);
        command.SetAction(parsed =>
        {
            string[] given = [.. folders.SelectMany(folder => parsed.GetValue(folder) is { } path ? (string[])[folder.Name, path] : [])];
            return parsed.GetValue(quick) ? RunAll(Directory.CreateTempSubdirectory("siglip-bench-").FullName, ["--quick"], given) : RunAll(null, [], given);
        });
        return command;
    }

    public static Command CreatePage()
    {
        var command = new Command("page", $"Write the tables of {Page} from the figures in bench/results.");
        command.SetAction(_ => Write(null));
        return command;
    }

    // Each verb in a process of its own, so that nothing of one is in the memory of the next.
    private static int RunAll(string? folder, string[] options, string[] forAccuracy)
    {
        foreach ((string verb, string file, _) in Sections)
        {
            string[] arguments = [verb, .. options, "--output", ResultsIn(folder, file), .. verb == AccuracyBenchmark.Verb ? forAccuracy : []];
            if (verb == GrowthBenchmark.Verb && folder is not null)
                arguments = [.. arguments, GrowthBenchmark.Plots, folder];
            using var process = Process.Start(Environment.ProcessPath!, arguments);
            process.WaitForExit();
            if (process.ExitCode != 0)
                return process.ExitCode;
        }

        return Write(folder);
    }

    private static string ResultsIn(string? folder, string file) => Path.Combine(folder ?? Path.Combine("bench", "results"), file);

    /// <param name="folder">With the figures, and for the page; null for those of the repository.</param>
    private static int Write(string? folder)
    {
        string page = File.ReadAllText(Page);
        foreach ((string verb, string file, Func<JsonObject, string> tables) in Sections)
        {
            string begin = $"<!-- {verb}: begin -->\n", end = $"<!-- {verb}: end -->";
            int from = page.IndexOf(begin, StringComparison.Ordinal) + begin.Length, to = page.IndexOf(end, StringComparison.Ordinal);
            if (from < begin.Length || to < from)
                throw new InvalidDataException($"{Page} has no place for the tables of '{verb}', expected the comments '{begin.TrimEnd()}' and '{end}'.");
            string results = ResultsIn(folder, file);
            if (!File.Exists(results))
            {
                Console.WriteLine($"{results} is missing, so the tables of '{verb}' stay as they are.");
                continue;
            }

            JsonObject document = JsonNode.Parse(File.ReadAllText(results))!.AsObject();
            page = $"{page[..from]}{Machine.Line(document["machine"]!.AsObject())}\n\n{tables(document).TrimEnd()}\n{page[to..]}";
        }

        string written = folder is null ? Page : Path.Combine(folder, Path.GetFileName(Page));
        File.WriteAllText(written, page);
        Console.WriteLine($"The tables are in {written}.");
        return 0;
    }
}
