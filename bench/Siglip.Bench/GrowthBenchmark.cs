using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Siglip.Core;

namespace Siglip.Bench;

/// <summary><c>growth</c>: what an image costs as the work grows, beside the arithmetic count: more images, larger batches, images and models.</summary>
internal static class GrowthBenchmark
{
    public const string Verb = "growth";

    /// <summary>The option that names the folder for the pictures.</summary>
    public const string Plots = "--plots";

    private const int LeastRounds = 2;
    private const int MostRounds = 7;

    public static Command Create()
    {
        var quick = new Option<bool>("--quick") { Description = "Fewer and smaller points, to try it." };
        var work = new Option<string?>("--work") { Hidden = true, Description = "The model that the new process runs." };
        var precision = new Option<SiglipPrecision>("--precision") { Hidden = true };
        var images = new Option<int>("--images") { Hidden = true };
        var batch = new Option<int>("--batch") { Hidden = true };
        var size = new Option<int>("--size") { Hidden = true };
        var plots = new Option<string>(Plots) { Description = "The folder for the pictures.", DefaultValueFactory = _ => "docs" };
        var output = Report.Option("growth.json");
        var command = new Command(Verb, "Measure what an image costs as the work grows.") { quick, plots, output, work, precision, images, batch, size };
        command.SetAction(parsed => parsed.GetValue(work) is { } folder
            ? Work(folder, parsed.GetValue(precision), parsed.GetValue(images), parsed.GetValue(batch), parsed.GetValue(size))
            : Run(parsed.GetValue(quick), parsed.GetRequiredValue(plots), parsed.GetRequiredValue(output)));
        return command;
    }

    /// <summary>The tables of a run, each with its picture.</summary>
    public static string Tables(JsonObject document)
    {
        var text = new StringBuilder();
        foreach (JsonObject series in document["series"]!.AsArray().OfType<JsonObject>())
        {
            JsonObject[] points = [.. series["points"]!.AsArray().OfType<JsonObject>()];
            string[] precisions = [.. points[0]["precisions"]!.AsObject().Select(precision => precision.Key)];
            text.AppendLine($"**{series["title"]}**").AppendLine();
            text.AppendLine($"![{series["title"]}]({PictureOf(series)})").AppendLine();
            text.AppendLine($"| {series["varies"]} | GFLOP per image |{string.Concat(precisions.Select(precision => $" {precision}: ms per image | GFLOP/s | peak MB |"))}");
            text.AppendLine($"|---|---|{string.Concat(precisions.Select(_ => "---|---|---|"))}");
            foreach (JsonObject point in points)
            {
                text.Append(CultureInfo.InvariantCulture, $"| {point["point"]} | {(double)point["gflop"]!:N2} |");
                foreach (string name in precisions)
                {
                    JsonNode precision = point["precisions"]![name]!;
                    text.Append(CultureInfo.InvariantCulture, $" {Timings.Text(precision.AsObject())} | {(double)precision["gflops"]!:N0} | {(double)precision["peak_mb"]!:N0} |");
                }

                text.AppendLine();
            }

            text.AppendLine();
        }

        return text.ToString();
    }

    /// <summary>The pictures of a run.</summary>
    public static void Draw(JsonObject document, string folder)
    {
        foreach (JsonObject series in document["series"]!.AsArray().OfType<JsonObject>())
            GrowthPlot.Draw(series, Path.Combine(folder, PictureOf(series)));
    }

    private static int Run(bool quick, string plots, string output)
    {
        var series = new JsonArray();
        using (PeerModel nano = PeerModel.OfNano())
            series.Add(Measure("images", "Images in one call, the bundled model, batches of 64", "images", (quick ? [1, 10, 100] : (int[])[1, 10, 100, 1000, 10_000]).Select(count => new Point($"{count:N0}", count, nano, count, 64))));
        SiglipVisionConfig config = quick ? new() { NumHiddenLayers = 1 } : new();
        using (PeerModel model = PeerModel.OfFormula(config))
        {
            series.Add(Measure("batch", "Batch sizes, base-patch16-224", "batch", (quick ? [1, 4] : (int[])[1, 2, 4, 8, 16, 32, 64]).Select(batch => new Point($"{batch}", batch, model, batch, batch))));
            series.Add(Measure("image-size", "Image sizes, base-patch16-224 with interpolated position embeddings, batch 1", "pixels a side",
                (quick ? [224, 256] : (int[])[224, 256, 320, 384, 448, 512]).Select(side => new Point($"{side}", side, model, 1, 1, side))));
        }

        series.Add(Measure("models", "Models, batch 1", "model", Models(quick)));
        var document = new JsonObject { ["machine"] = Machine.Describe(), ["series"] = series };
        Draw(document, plots);
        Report.Write(output, document);
        Console.WriteLine(Machine.Line(document["machine"]!.AsObject()));
        Console.WriteLine();
        Console.WriteLine(Tables(document));
        Console.WriteLine($"The figures are in {output}, the pictures in {plots}.");
        return 0;
    }

    private static string PictureOf(JsonObject series) => $"performance-{series["name"]}.png";

    // One after the other, as each may have gigabytes of weights.
    private static IEnumerable<Point> Models(bool quick)
    {
        using (PeerModel nano = PeerModel.OfNano())
            yield return Of("nano", nano);
        string[] names = quick ? ["base-patch16-224"] : ["base-patch16-224", "base-patch16-384", "base-patch16-512", "large-patch16-256", "large-patch16-384", "so400m-patch14-224", "so400m-patch14-384"];
        foreach (string name in names)
        {
            var config = (SiglipVisionConfig)SiglipVariants.Find($"google/siglip-{name}").Config;
            using PeerModel model = PeerModel.OfFormula(quick ? config with { NumHiddenLayers = 1 } : config);
            yield return Of(name, model);
        }

        static Point Of(string name, PeerModel model) => new(name, model.Gflop, model, 1, 1);
    }

    private static JsonObject Measure(string name, string title, string varies, IEnumerable<Point> points)
    {
        var results = new JsonArray();
        foreach (Point point in points)
        {
            Console.Error.WriteLine($"{title}: {point.Name} ...");
            results.Add(Measure(point));
        }

        return new JsonObject { ["name"] = name, ["title"] = title, ["varies"] = varies, ["points"] = results };
    }

    private static JsonObject Measure(Point point)
    {
        var processes = Peer.Precisions.Select(precision => (Name: precision.ToString().ToLowerInvariant(), Process: point.Start(precision), Timings: new Timings())).ToArray();
        try
        {
            JsonObject[] last = Round();
            long start = Stopwatch.GetTimestamp();
            for (int rounds = 0; rounds < LeastRounds || (rounds < MostRounds && Stopwatch.GetElapsedTime(start).TotalSeconds < 6); rounds++)
            {
                last = Round();
                foreach ((Timings timings, JsonObject answer) in processes.Select(process => process.Timings).Zip(last))
                    timings.Add((double)answer["milliseconds"]! / point.Images);
            }

            double gflop = 1e-9 * Arithmetic.Operations(point.Model.Config, point.Side);
            return new JsonObject
            {
                ["point"] = point.Name,
                ["x"] = Math.Round(point.X, 3),
                ["gflop"] = Math.Round(gflop, 4),
                ["precisions"] = new JsonObject(processes.Zip(last, (process, answer) =>
                {
                    JsonObject json = process.Timings.ToJson();
                    json["gflops"] = Math.Round(gflop / process.Timings.Median * 1000, 1);
                    json["peak_mb"] = Math.Round((double)answer["peak_mb"]!);
                    return KeyValuePair.Create(process.Name, (JsonNode?)json);
                })),
            };
        }
        finally
        {
            foreach ((_, AnsweringProcess process, _) in processes)
                process.Dispose();
        }

        JsonObject[] Round() => [.. processes.Select(process => process.Process.Ask([]))];
    }

    // What a new process does: all images once for each line, as a caller would who has them decoded and in the model's size.
    private static int Work(string folder, SiglipPrecision precision, int images, int batch, int side)
    {
        using var embedder = SiglipImageEmbedder.FromPretrained(folder, new SiglipImageEmbedderOptions
        {
            Precision = precision,
            BatchSize = batch,
            ImageHeight = side,
            ImageWidth = side,
            InterpolatePositionEncoding = true,
        });
        RgbImage image = SyntheticImage.Create(side, side);
        return AnsweringLoop.Run(SiglipPeer.Versions(), _ =>
        {
            long start = Stopwatch.GetTimestamp();
            int embedded = embedder.EmbedAsync(Enumerable.Repeat(image, images).ToAsyncEnumerable(), CancellationToken.None).ToBlockingEnumerable().Count();
            return new JsonObject { ["milliseconds"] = Stopwatch.GetElapsedTime(start).TotalMilliseconds, ["images"] = embedded };
        });
    }

    private sealed record Point(string Name, double X, PeerModel Model, int Images, int Batch, int? Size = null)
    {
        public int Side => Size ?? Model.Config.ImageSize;

        public AnsweringProcess Start(SiglipPrecision precision) => AnsweringProcess.StartSelf(
            [Verb, "--work", Model.Folder, "--precision", $"{precision}", "--images", Text(Images), "--batch", Text(Batch), "--size", Text(Side)], Peer.Environment);

        private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
    }
}
