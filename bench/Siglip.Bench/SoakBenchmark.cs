using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Microsoft.ML;
using Siglip.Core;
using Siglip.MLNet;
using TorchSharp;

namespace Siglip.Bench;

/// <summary><c>soak</c>: memory and tensors before, during and after very many predictions, on one thread and on many.</summary>
internal static class SoakBenchmark
{
    public static Command Create()
    {
        var predictions = new Option<int>("--predictions") { Description = "Number of predictions.", DefaultValueFactory = _ => 1_000_000 };
        var threads = new Option<int>("--threads") { Description = "Threads, each with an engine of its own.", DefaultValueFactory = _ => 1 };
        var output = Report.Option("soak.json");
        var command = new Command("soak", "Predict on and on with a tiny model, and watch memory.") { predictions, threads, output };
        command.SetAction(parsed => Run(Math.Max(parsed.GetValue(predictions), 1000), Math.Max(parsed.GetValue(threads), 1), parsed.GetRequiredValue(output)));
        return command;
    }

    private static int Run(int predictions, int threads, string output)
    {
        JsonObject machine = Machine.Describe();
        Console.WriteLine(Machine.Line(machine));
        Console.WriteLine($"{predictions:N0} predictions by {threads} thread(s), encoded images of 16 x 16 pixels, one layer of 8.");
        Console.WriteLine();
        Console.WriteLine("| predictions | tensors | MB managed | MB resident | predictions/s |");
        Console.WriteLine("|---|---|---|---|---|");
        string folder = Directory.CreateTempSubdirectory("siglip-soak-").FullName;
        try
        {
            SaveModel(folder);
            var results = new JsonArray();
            long wrong = Predict(folder, predictions, threads, results);
            Console.WriteLine();
            Console.WriteLine($"{wrong} predictions have other bits than the first of their image on one thread.");
            Report.Write(output, new JsonObject
            {
                ["machine"] = machine,
                ["predictions"] = predictions,
                ["threads"] = threads,
                ["different"] = wrong,
                ["results"] = results,
            });
            return wrong == 0 ? 0 : 1;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void SaveModel(string folder)
    {
        TorchNative.Ensure();
        torch.manual_seed(1);
        using var model = new SiglipVisionModel(new SiglipVisionConfig
        {
            HiddenSize = 8,
            IntermediateSize = 8,
            NumHiddenLayers = 1,
            NumAttentionHeads = 1,
            ImageSize = 8,
            PatchSize = 4,
            VisionUseHead = false,
        });
        model.SavePretrained(folder, new SiglipImageProcessorConfig { Height = 8, Width = 8 });
    }

    private static long Predict(string folder, int predictions, int threads, JsonArray results)
    {
        const int Reports = 10;
        var mlContext = new MLContext(seed: 1);
        byte[][] images = [.. Enumerable.Range(1, 20).Select(Bitmap)];
        using SiglipImageFeaturizingTransformer model = mlContext.Transforms
            .SiglipFeaturizeImage("Embedding", "Bytes", folder, SiglipOutputKind.MeanPatchEmbedding)
            .Fit(mlContext.Data.LoadFromEnumerable(Array.Empty<Row>()));
        var engines = new PredictionEngine<Row, Prediction>[threads];
        for (int i = 0; i < threads; i++)
            engines[i] = mlContext.Model.CreatePredictionEngine<Row, Prediction>(model, new PredictionEngineOptions { OwnsTransformer = false });
        float[][] expected = [.. images.Select(image => engines[0].Predict(new Row { Bytes = image }).Embedding)];
        long wrong = Round(predictions / Reports); // whatever is made once
        Report(0, 0);
        for (int i = 1; i <= Reports; i++)
        {
            long start = Stopwatch.GetTimestamp();
            wrong += Round(predictions / Reports);
            Report((long)predictions / Reports * i, predictions / Reports / Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        foreach (PredictionEngine<Row, Prediction> engine in engines)
            engine.Dispose();
        return wrong;

        long Round(int count)
        {
            long different = 0;
            var workers = new Thread[threads];
            for (int thread = 0; thread < threads; thread++)
            {
                PredictionEngine<Row, Prediction> engine = engines[thread];
                int first = thread;
                workers[thread] = new Thread(() =>
                {
                    var row = new Row();
                    var prediction = new Prediction();
                    for (int i = first; i < count; i += threads)
                    {
                        row.Bytes = images[i % images.Length];
                        engine.Predict(row, ref prediction);
                        if (!prediction.Embedding.AsSpan().SequenceEqual(expected[i % images.Length]))
                            Interlocked.Increment(ref different);
                    }
                });
                workers[thread].Start();
            }

            foreach (Thread worker in workers)
                worker.Join();
            return different;
        }

        void Report(long done, double rate)
        {
            double managed = GC.GetTotalMemory(forceFullCollection: true) / 1e6;
            using var process = Process.GetCurrentProcess();
            double resident = process.WorkingSet64 / 1e6;
            long tensors = torch.Tensor.TotalCount;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {done:N0} | {tensors} | {managed:F2} | {resident:F1} | {rate:N0} |"));
            results.Add(new JsonObject
            {
                ["predictions"] = done,
                ["tensors"] = tensors,
                ["managed_mb"] = Math.Round(managed, 3),
                ["resident_mb"] = Math.Round(resident, 1),
                ["per_second"] = Math.Round(rate),
            });
        }
    }

    /// <summary>An uncompressed BMP of 16 x 16 pixels.</summary>
    private static byte[] Bitmap(int seed)
    {
        const int Side = 16, Header = 54;
        byte[] bytes = new byte[Header + (Side * Side * 3)];
        new Random(seed).NextBytes(bytes.AsSpan(Header));
        "BM"u8.CopyTo(bytes);
        BitConverter.TryWriteBytes(bytes.AsSpan(2), bytes.Length);
        BitConverter.TryWriteBytes(bytes.AsSpan(10), Header);
        BitConverter.TryWriteBytes(bytes.AsSpan(14), 40);
        BitConverter.TryWriteBytes(bytes.AsSpan(18), Side);
        BitConverter.TryWriteBytes(bytes.AsSpan(22), Side);
        BitConverter.TryWriteBytes(bytes.AsSpan(26), (short)1);
        BitConverter.TryWriteBytes(bytes.AsSpan(28), (short)24);
        BitConverter.TryWriteBytes(bytes.AsSpan(34), Side * Side * 3);
        return bytes;
    }

    private sealed class Row
    {
        public byte[] Bytes { get; set; } = [];
    }

    private sealed class Prediction
    {
        public float[] Embedding { get; set; } = [];
    }
}
