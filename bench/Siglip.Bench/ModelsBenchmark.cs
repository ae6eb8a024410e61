using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Siglip.Core;

namespace Siglip.Bench;

/// <summary><c>models</c>: a forward pass beside those of the peers, in turns, with equal weights, inputs and outputs.</summary>
internal static class ModelsBenchmark
{
    private const int WarmUp = 2;
    private const int LeastRounds = 5;
    private const int MostRounds = 31;

    public static Command Create()
    {
        var seconds = new Option<int>("--seconds") { Description = $"For each case, but at least {LeastRounds} rounds.", DefaultValueFactory = _ => 100 };
        var quick = new Option<bool>("--quick") { Description = "Models of one layer, small batches and few rounds, to try it." };
        var output = Report.Option("models.json");
        var command = new Command("models", "Measure forward passes beside ONNX Runtime's, ML.NET's and PyTorch's.") { seconds, quick, output };
        command.SetAction(parsed => Run(parsed.GetValue(seconds), parsed.GetValue(quick), parsed.GetRequiredValue(output)));
        return command;
    }

    /// <summary>The tables of a run.</summary>
    public static string Tables(JsonObject document) => string.Join("\n", document["results"]!.AsArray().Select(result => Table(result!.AsObject())));

    private static string Table(JsonObject result)
    {
        JsonObject[] peers = [.. result["peers"]!.AsArray().OfType<JsonObject>()];
        string[] ours = [.. peers[0]["by"]!.AsObject().Select(peer => peer.Key)];
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"**{result["model"]}, batch {result["batch"]}**: {(double)result["gflop"]!:N2} GFLOP; {result["rounds"]} rounds; the processor's peak "
            + $"{(double)result["registers_gflops"]!:N0} GFLOP/s, libtorch's best matrix product {(double)result["matrix_gflops"]!:N0} GFLOP/s.").AppendLine();
        text.AppendLine($"| | ms per batch | images/s | GFLOP/s | of the peak | of the product | peak MB | cosine |{string.Concat(ours.Select(name => $" {name.Split(' ')[1]} is × as fast |"))}");
        text.AppendLine($"|---|---|---|---|---|---|---|---|{string.Concat(ours.Select(_ => "---|"))}");
        foreach (JsonObject peer in peers)
        {
            text.Append(CultureInfo.InvariantCulture, $"| {peer["name"]} | {Timings.Text(peer)} | {(double)peer["images_per_second"]!:N1} | {(double)peer["gflops"]!:N0} | {(double)peer["of_peak"]!:P0} | "
                + $"{(double)peer["of_matrix"]!:P0} | {(double)peer["peak_mb"]!:N0} | {(double)peer["cosine"]!:F5} |");
            foreach (string name in ours)
                text.Append(CultureInfo.InvariantCulture, $" {(double)peer["by"]![name]!:F2} |");
            text.AppendLine();
        }

        return text.AppendLine().AppendLine(Peer.VersionsOf(peers)).ToString();
    }

    private static int Run(int seconds, bool quick, string output)
    {
        SiglipVisionConfig basic = new(), so400m = (SiglipVisionConfig)SiglipVariants.Find("google/siglip-so400m-patch14-384").Config;
        if (quick)
            (basic, so400m) = (basic with { NumHiddenLayers = 1 }, so400m with { NumHiddenLayers = 1 });
        var document = new JsonObject { ["machine"] = Machine.Describe(), ["results"] = new JsonArray() };
        Console.WriteLine(Machine.Line(document["machine"]!.AsObject()));
        Console.WriteLine();
        Measure("base-patch16-224", () => PeerModel.OfFormula(basic, 16), quick ? [1, 2] : [1, 8, 16]);
        Measure("so400m-patch14-384", () => PeerModel.OfFormula(so400m, 1), [1]);
        Measure("nano", () => PeerModel.OfNano(64), [quick ? 8 : 64]);
        Report.Write(output, document);
        Console.WriteLine($"The figures are in {output}.");
        return 0;

        void Measure(string name, Func<PeerModel> create, int[] batches)
        {
            using PeerModel model = create();
            foreach (int batch in batches)
            {
                JsonObject result = ModelsBenchmark.Measure(name, model, batch, quick ? 0 : seconds, quick ? 2 : LeastRounds, tune: !quick);
                document["results"]!.AsArray().Add(result);
                Console.WriteLine(Table(result));
            }
        }
    }

    private static JsonObject Measure(string name, PeerModel model, int batch, int seconds, int leastRounds, bool tune)
    {
        Peer[] peers = [.. Peer.StartAll(model.Folder, batch, tune)];
        using AnsweringProcess peak = Peer.StartPeak();
        try
        {
            double[] cosines = Compare(peers, batch);
            Timings registers = new(), matrix = new();
            int rounds = 0;
            for (int round = 0; round < WarmUp; round++)
                RunAll(peers, round, (_, _) => { });
            for (long start = Stopwatch.GetTimestamp(); rounds < leastRounds || (rounds < MostRounds && Stopwatch.GetElapsedTime(start).TotalSeconds < seconds); rounds++)
            {
                JsonObject limits = peak.Ask([]);
                registers.Add((double)limits["registers_gflops"]!);
                matrix.Add((double)limits["matrix_gflops"]!);
                RunAll(peers, rounds, (peer, milliseconds) => peer.Timings.Add(milliseconds));
            }

            double gflop = batch * model.Gflop;
            return new JsonObject
            {
                ["model"] = name,
                ["batch"] = batch,
                ["gflop"] = Math.Round(gflop, 3),
                ["rounds"] = rounds,
                ["registers_gflops"] = Math.Round(registers.Median, 1),
                ["matrix_gflops"] = Math.Round(matrix.Median, 1),
                ["peers"] = new JsonArray([.. peers.Select((peer, i) => Describe(peer, cosines[i]))]),
            };

            JsonObject Describe(Peer peer, double cosine)
            {
                JsonObject json = peer.Timings.ToJson();
                double rate = gflop / peer.Timings.Median * 1000;
                json.Insert(0, "name", peer.Name);
                json["images_per_second"] = Math.Round(batch / peer.Timings.Median * 1000, 3);
                json["gflops"] = Math.Round(rate, 1);
                json["of_peak"] = Math.Round(rate / registers.Median, 3);
                json["of_matrix"] = Math.Round(rate / matrix.Median, 3);
                json["threads"] = peer.Threads;
                json["loading_peak_mb"] = Math.Round(peer.LoadingPeakMb);
                json["peak_mb"] = Math.Round(peer.PeakMb);
                json["cosine"] = Math.Round(cosine, 6);
                json["by"] = new JsonObject(peers.Where(other => other.IsOurs).Select(other =>
                    KeyValuePair.Create(other.Name, (JsonNode?)Math.Round(peer.Timings.Over(other.Timings), 3))));
                json["versions"] = peer.VersionText;
                return json;
            }
        }
        finally
        {
            foreach (Peer peer in peers)
                peer.Dispose();
        }
    }

    // Back and forth, so that what changes during a round takes from one as much as from another.
    private static void RunAll(Peer[] peers, int round, Action<Peer, double> take)
    {
        foreach (Peer peer in round % 2 == 0 ? peers : peers.Reverse())
            take(peer, peer.Run());
    }

    // Nobody may be timed with a wrong result: float32 gives equal numbers, lower precision the same direction.
    private static double[] Compare(Peer[] peers, int batch)
    {
        float[] expected = peers[0].Pooled();
        float scale = expected.Max(Math.Abs);
        return [.. peers.Select(peer =>
        {
            float[] actual = peer.Pooled();
            if (actual.Length != expected.Length)
                throw new InvalidOperationException($"{peer.Name} gave {actual.Length} numbers, {peers[0].Name} {expected.Length}.");
            double difference = actual.Zip(expected, (a, b) => Math.Abs(a - b)).Max() / scale;
            double cosine = actual.Chunk(actual.Length / batch).Zip(expected.Chunk(expected.Length / batch), Similarity.Cosine).Min();
            return peer.IsFloat32 && !(difference <= 1e-4) || !(cosine >= 0.9)
                ? throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture, $"{peer.Name} gave other embeddings than {peers[0].Name}: "
                    + $"the largest difference is {difference:E1} of the largest number, the least cosine similarity {cosine:F4}."))
                : cosine;
        })];
    }
}
