using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Siglip.Core;

namespace Siglip.Bench;

/// <summary><c>memory</c>: what a process holds at most while it loads a model and while it embeds, beside the peers, and whether that stays so.</summary>
internal static class MemoryBenchmark
{
    private const int Batch = 16;
    private const int LongRunBatch = 8;
    private const int Quarters = 4;

    public static Command Create()
    {
        var quick = new Option<bool>("--quick") { Description = "A model of one layer and few passes, to try it." };
        var output = Report.Option("memory.json");
        var command = new Command("memory", "Measure resident memory while loading and embedding, and over a long run.") { quick, output };
        command.SetAction(parsed => Run(parsed.GetValue(quick), parsed.GetRequiredValue(output)));
        return command;
    }

    /// <summary>The tables of a run.</summary>
    public static string Tables(JsonObject document)
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"**base-patch16-224, batch {Batch}**, {(double)document["weights_mb"]!:N0} MB of float32 weights; MB resident:").AppendLine();
        text.AppendLine("| | peak while loading | peak while embedding | above the weights | after the last pass |");
        text.AppendLine("|---|---|---|---|---|");
        foreach (JsonNode? result in document["peaks"]!.AsArray())
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"| {result!["name"]} | {(double)result["loading_peak_mb"]!:N0} | {(double)result["peak_mb"]!:N0} | "
                + $"{(double)result["peak_mb"]! - (double)document["weights_mb"]!:N0} | {(double)result["resident_mb"]!:N0} |");
        }

        text.AppendLine().AppendLine(Peer.VersionsOf(document["peaks"]!.AsArray()));
        text.AppendLine().AppendLine("**A long run**; MB resident after each quarter:").AppendLine();
        text.AppendLine("| | passes | first pass | 1/4 | 2/4 | 3/4 | 4/4 |");
        text.AppendLine("|---|---|---|---|---|---|---|");
        foreach (JsonNode? result in document["runs"]!.AsArray())
        {
            string marks = string.Join(" | ", result!["resident_mb"]!.AsArray().Select(mark => ((double)mark!).ToString("N0", CultureInfo.InvariantCulture)));
            text.AppendLine(CultureInfo.InvariantCulture, $"| {result["name"]}, {result["model"]}, batch {result["batch"]} | {(int)result["passes"]!:N0} | {marks} |");
        }

        return text.ToString();
    }

    private static int Run(bool quick, string output)
    {
        var peaks = new JsonArray();
        var runs = new JsonArray();
        double weights;
        SiglipVisionConfig config = quick ? new() { NumHiddenLayers = 1 } : new();
        using (PeerModel model = PeerModel.OfFormula(config, Batch))
        {
            weights = new FileInfo(Path.Combine(model.Folder, "model.safetensors")).Length / 1e6;
            foreach (Peer peer in Peer.StartAll(model.Folder, Batch, tune: false))
            {
                using (peer)
                    peaks.Add(Peaks(peer));
            }

            foreach (SiglipPrecision precision in Peer.Precisions)
                runs.Add(LongRun(precision, "base-patch16-224", model, LongRunBatch, quick ? 4 : 40));
        }

        using (PeerModel nano = PeerModel.OfNano(64))
        {
            foreach (SiglipPrecision precision in Peer.Precisions)
                runs.Add(LongRun(precision, "nano", nano, 64, quick ? 8 : 500));
        }

        var document = new JsonObject { ["machine"] = Machine.Describe(), ["weights_mb"] = Math.Round(weights, 1), ["peaks"] = peaks, ["runs"] = runs };
        Report.Write(output, document);
        Console.WriteLine(Machine.Line(document["machine"]!.AsObject()));
        Console.WriteLine();
        Console.WriteLine(Tables(document));
        Console.WriteLine($"The figures are in {output}.");
        return 0;
    }

    private static JsonObject Peaks(Peer peer)
    {
        for (int pass = 0; pass < 4; pass++)
            peer.Run();
        return new JsonObject
        {
            ["name"] = peer.Name,
            ["loading_peak_mb"] = Math.Round(peer.LoadingPeakMb),
            ["peak_mb"] = Math.Round(peer.PeakMb),
            ["resident_mb"] = Math.Round(peer.ResidentMb),
            ["versions"] = peer.VersionText,
        };
    }

    private static JsonObject LongRun(SiglipPrecision precision, string name, PeerModel model, int batch, int passes)
    {
        using Peer peer = Peer.Start(precision, model.Folder, batch);
        peer.Run();
        var marks = new JsonArray(Math.Round(peer.ResidentMb));
        for (int pass = 1; pass <= passes; pass++)
        {
            peer.Run();
            if (pass % (passes / Quarters) == 0)
                marks.Add(Math.Round(peer.ResidentMb));
        }

        return new JsonObject { ["name"] = peer.Name, ["model"] = name, ["batch"] = batch, ["passes"] = passes, ["resident_mb"] = marks };
    }
}
