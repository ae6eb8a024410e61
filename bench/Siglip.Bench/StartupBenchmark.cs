using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Siglip.Core;
using Siglip.Core.Tests;

namespace Siglip.Bench;

/// <summary><c>startup</c>: what a new process takes to its first embedding, and to load a model of base size, with the memory that takes at most.</summary>
internal static class StartupBenchmark
{
    private const string Base = "google/siglip-base-patch16-224";
    private const string Image = "samples/cifar10-new/ship/45309.png";

    private static readonly string[] Parts = ["libtorch", "load", "embed"];

    public static Command Create()
    {
        var rounds = new Option<int>("--rounds") { Description = "New processes for each line.", DefaultValueFactory = _ => 7 };
        var siglip = new Option<string[]>("--siglip") { Description = "Published commands (siglip) to be measured beside, such as one of an earlier version.", DefaultValueFactory = _ => [] };
        var quick = new Option<bool>("--quick") { Description = "One process for each line, to try it." };
        var first = new Option<string?>("--first") { Hidden = true, Description = "What the new process does: the model to load." };
        var precision = new Option<SiglipPrecision>("--precision") { Hidden = true };
        var output = Report.Option("startup.json");
        var command = new Command("startup", "Measure the first embedding of a new process, and the loading of weights.") { rounds, siglip, quick, first, precision, output };
        command.SetAction(parsed => parsed.GetValue(first) is { } model
            ? EmbedFirst(model, parsed.GetValue(precision))
            : Run(parsed.GetValue(quick) ? 1 : parsed.GetValue(rounds), parsed.GetRequiredValue(siglip), parsed.GetRequiredValue(output)));
        return command;
    }

    /// <summary>The table of a run.</summary>
    public static string Tables(JsonObject document)
    {
        var text = new StringBuilder();
        text.AppendLine($"New processes, {document["rounds"]} of each, in turn; medians (and the range of 80 %), in ms. The files are in the page cache.").AppendLine();
        text.AppendLine("| | whole process | libtorch | load | first embedding | peak MB after loading |");
        text.AppendLine("|---|---|---|---|---|---|");
        foreach (JsonObject result in document["results"]!.AsArray().OfType<JsonObject>())
        {
            string parts = string.Join(" | ", Parts.Select(part => result[part] is JsonObject timings ? Timings.Text(timings) : ""));
            text.AppendLine(CultureInfo.InvariantCulture, $"| {result["what"]} | {Timings.Text(result["process"]!.AsObject())} | {parts} | {(double?)result["peak_mb"]:F0} |");
        }

        return text.ToString();
    }

    private static int Run(int rounds, string[] siglip, string output)
    {
        JsonObject machine = Machine.Describe();
        Console.WriteLine(Machine.Line(machine));
        Console.WriteLine();
        string folder = Directory.CreateTempSubdirectory("siglip-startup-").FullName;
        try
        {
            string weights = CreateBase(Path.Combine(folder, "base"));
            Subject[] subjects =
            [
                .. siglip.Select((program, i) => new Subject($"siglip embed, program {i + 1}", program, ["embed", Image, "--output", Path.Combine(folder, "e.npy")])),
                OfLibrary("nano", "nano", SiglipPrecision.Float32),
                OfLibrary("base, float32", weights, SiglipPrecision.Float32),
                OfLibrary("base, bfloat16", weights, SiglipPrecision.BFloat16),
            ];
            for (int round = -1; round < rounds; round++) // the first is to fill the caches
            {
                foreach (Subject subject in subjects)
                    subject.Measure(keep: round >= 0);
            }

            var document = new JsonObject
            {
                ["machine"] = machine,
                ["rounds"] = rounds,
                ["base_weights_mb"] = Math.Round(new FileInfo(Path.Combine(weights, "model.safetensors")).Length / 1e6, 1),
                ["results"] = new JsonArray([.. subjects.Select(subject => subject.ToJson())]),
            };
            Report.Write(output, document);
            Console.WriteLine(Tables(document));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        return 0;
    }

    private static Subject OfLibrary(string name, string model, SiglipPrecision precision) =>
        new(name, Environment.ProcessPath!, ["startup", "--first", model, "--precision", precision.ToString()]);

    private static string CreateBase(string folder)
    {
        var config = (SiglipVisionConfig)SiglipVariants.Find(Base).Config;
        using SiglipVisionModel model = FormulaWeights.CreateModel(config);
        model.SavePretrained(folder, new SiglipImageProcessorConfig { Height = config.ImageSize, Width = config.ImageSize });
        return folder;
    }

    private static int EmbedFirst(string model, SiglipPrecision precision)
    {
        long start = Stopwatch.GetTimestamp();
        TorchNative.Ensure();
        double libtorch = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        start = Stopwatch.GetTimestamp();
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(model, new SiglipImageEmbedderOptions { Precision = precision });
        double load = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        using var process = Process.GetCurrentProcess();
        long peak = process.PeakWorkingSet64;
        start = Stopwatch.GetTimestamp();
        embedder.Embed(Image);
        double embed = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        Console.WriteLine(new JsonObject { ["libtorch"] = libtorch, ["load"] = load, ["embed"] = embed, ["peak_mb"] = peak / 1e6 }.ToJsonString());
        return 0;
    }

    /// <summary>A program that is started again and again.</summary>
    private sealed class Subject(string name, string program, string[] arguments)
    {
        private readonly Timings _whole = new();
        private readonly Dictionary<string, Timings> _parts = [];
        private double _peak; // the largest

        public void Measure(bool keep)
        {
            long start = Stopwatch.GetTimestamp();
            using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;
            string answer = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            double whole = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            if (process.ExitCode != 0)
                throw new InvalidOperationException($"'{program}' failed with exit code {process.ExitCode}.");
            if (!keep)
                return;
            _whole.Add(whole);
            if (!answer.StartsWith('{'))
                return; // the command, which says something else
            JsonNode parts = JsonNode.Parse(answer)!;
            foreach (string part in Parts)
            {
                if (!_parts.TryGetValue(part, out Timings? timings))
                    _parts[part] = timings = new Timings();
                timings.Add((double)parts[part]!);
            }

            _peak = Math.Max(_peak, (double)parts["peak_mb"]!);
        }

        public JsonObject ToJson()
        {
            var result = new JsonObject { ["what"] = name, ["process"] = _whole.ToJson() };
            foreach ((string part, Timings timings) in _parts)
                result[part] = timings.ToJson();
            if (_peak > 0)
                result["peak_mb"] = Math.Round(_peak, 1);
            return result;
        }
    }
}
