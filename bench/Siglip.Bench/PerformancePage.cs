using System.CommandLine;
using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Siglip.Bench;

/// <summary><c>all</c> and <c>page</c>: the tables of docs/performance.md, which are never typed by hand.</summary>
internal static class PerformancePage
{
    private const string Page = "docs/performance.md";

    // In the page's order. Each has a place between two comments there.
    private static readonly Section[] Sections =
    [
        new("models", ModelsBenchmark.Tables, []),
        new("pipeline", PipelineBenchmark.Tables, ["--photos"]),
        new("memory", MemoryBenchmark.Tables, []),
        new("startup", StartupBenchmark.Tables, []),
        new("accuracy", AccuracyBenchmark.Tables, ["--photos", "--train", "--test"]),
        new("growth", GrowthBenchmark.Tables, []) { Draw = GrowthBenchmark.Draw },
    ];

    public static Command CreateAll()
    {
        Option<string?>[] folders = [.. Sections.SelectMany(section => section.Folders).Distinct()
            .Select(name => new Option<string?>(name) { Description = $"As of {string.Join(" and ", Sections.Where(section => section.Folders.Contains(name)).Select(section => section.Verb))}." })];
        var quick = new Option<bool>("--quick") { Description = "Each verb with --quick, to try it; figures and page go to a temporary folder." };
        var command = new Command("all", $"Measure all that {Page} shows, one verb after the other, and write its tables.") { quick };
        foreach (Option<string?> folder in folders)
            command.Add(folder);
        command.SetAction(parsed =>
        {
            Dictionary<string, string> given = folders.Where(folder => parsed.GetValue(folder) is not null).ToDictionary(folder => folder.Name, folder => parsed.GetValue(folder)!);
            return RunAll(parsed.GetValue(quick) ? Directory.CreateTempSubdirectory("siglip-bench-").FullName : null, given);
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
    private static int RunAll(string? quickFolder, Dictionary<string, string> given)
    {
        foreach (Section section in Sections)
        {
            string[] arguments = [section.Verb, "--output", section.ResultsIn(quickFolder), .. section.Folders.Where(given.ContainsKey).SelectMany(name => (string[])[name, given[name]])];
            if (quickFolder is not null)
                arguments = [.. arguments, "--quick", .. section.Verb == GrowthBenchmark.Verb ? [GrowthBenchmark.Plots, quickFolder] : (string[])[]];
            using var process = Process.Start(Environment.ProcessPath!, arguments);
            process.WaitForExit();
            if (process.ExitCode != 0)
                return process.ExitCode;
        }

        return Write(quickFolder);
    }

    /// <param name="folder">With the figures, and for the page; null for those of the repository.</param>
    private static int Write(string? folder)
    {
        string page = File.ReadAllText(Page);
        foreach (Section section in Sections)
        {
            string begin = $"<!-- {section.Verb}: begin -->\n", end = $"<!-- {section.Verb}: end -->";
            int from = page.IndexOf(begin, StringComparison.Ordinal) + begin.Length, to = page.IndexOf(end, StringComparison.Ordinal);
            if (from < begin.Length || to < from)
                throw new InvalidDataException($"{Page} has no place for the tables of '{section.Verb}', expected the comments '{begin.TrimEnd()}' and '{end}'.");
            string results = section.ResultsIn(folder);
            if (!File.Exists(results))
            {
                Console.WriteLine($"{results} is missing, so the tables of '{section.Verb}' stay as they are.");
                continue;
            }

            JsonObject document = JsonNode.Parse(File.ReadAllText(results))!.AsObject();
            section.Draw?.Invoke(document, folder ?? Path.GetDirectoryName(Page)!);
            page = $"{page[..from]}{Machine.Line(document["machine"]!.AsObject())}\n\n{section.Tables(document).TrimEnd()}\n{page[to..]}";
        }

        string written = folder is null ? Page : Path.Combine(folder, Path.GetFileName(Page));
        File.WriteAllText(written, page);
        Console.WriteLine($"The tables are in {written}.");
        return 0;
    }

    /// <param name="Verb">That measures it; its comments and its file have the same name.</param>
    /// <param name="Tables">Of the file's figures.</param>
    /// <param name="Folders">Options of the verb that name folders.</param>
    private sealed record Section(string Verb, Func<JsonObject, string> Tables, string[] Folders)
    {
        /// <summary>Writes the pictures of the file's figures into a folder, if there are any.</summary>
        public Action<JsonObject, string>? Draw { get; init; }

        /// <param name="folder">Null for that of the repository.</param>
        public string ResultsIn(string? folder) => Path.Combine(folder ?? Path.Combine("bench", "results"), $"{Verb}.json");
    }
}
