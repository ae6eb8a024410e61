using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;
using Siglip.Core.Tests;
using Siglip.MLNet;

namespace Siglip.Bench;

/// <summary><c>saved-models</c>: size of a saved pipeline, the time to save it and to load it in a new process, and that it predicts the same there.</summary>
internal static class SavedModelBenchmark
{
    private const string Giant = "google/siglip2-giant-opt-patch16-256"; // 1.1 billion parameters: more than 2 GB

    public static Command Create()
    {
        var large = new Option<bool>("--large") { Description = $"Also a model with the architecture of {Giant} and weights by formula: 15 GB of disk, 12 GB of memory." };
        var load = new Option<string?>("--load") { Hidden = true, Description = "What the new process does." };
        var output = Report.Option("saved-models.json");
        var command = new Command("saved-models", "Measure saving and loading of ML.NET models.") { large, load, output };
        command.SetAction(parsed => parsed.GetValue(load) is { } file ? Load(file) : Run(parsed.GetValue(large), parsed.GetRequiredValue(output)));
        return command;
    }

    private static int Run(bool large, string output)
    {
        JsonObject machine = Machine.Describe();
        Console.WriteLine(Machine.Line(machine));
        Console.WriteLine("Pipeline: MapValueToKey, SiglipFeaturizeImage (pooled), LbfgsMaximumEntropy. Loaded in a new process.");
        Console.WriteLine();
        Console.WriteLine("| model | weights | MB of weights | MB saved | seconds to save | seconds to load | the same again | peak MB while loading | predictions |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|");
        var results = new JsonArray();
        string folder = Directory.CreateTempSubdirectory("siglip-saved-").FullName;
        try
        {
            Measure("nano", "nano", folder, results);
            if (large)
                Measure(Giant, Create(Path.Combine(folder, "giant")), folder, results);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        Report.Write(output, new JsonObject { ["machine"] = machine, ["results"] = results });
        return 0;
    }

    private static string Create(string folder)
    {
        var config = (SiglipVisionConfig)SiglipVariants.Find(Giant).Config;
        using SiglipVisionModel model = FormulaWeights.CreateModel(config);
        model.SavePretrained(folder, new SiglipImageProcessorConfig { Height = config.ImageSize, Width = config.ImageSize });
        return folder;
    }

    private static void Measure(string name, string checkpoint, string folder, JsonArray results)
    {
        foreach (bool embedWeights in (bool[])[true, false])
        {
            var mlContext = new MLContext(seed: 1) { TempFilePath = folder };
            IDataView data = mlContext.Data.LoadFromEnumerable(Photos(8));
            var pipeline = mlContext.Transforms.Conversion.MapValueToKey("Label")
                .Append(mlContext.Transforms.SiglipFeaturizeImage(new SiglipImageFeaturizingOptions
                {
                    InputColumnName = "ImagePath",
                    Columns = { ["Features"] = SiglipOutputKind.PooledEmbedding },
                    Model = checkpoint,
                    EmbedWeights = embedWeights,
                }))
                .AppendCacheCheckpoint(mlContext)
                .Append(mlContext.MulticlassClassification.Trainers.LbfgsMaximumEntropy());
            string file = Path.Combine(folder, "model.zip");
            double weights, seconds;
            string predictions;
            using (TransformerChain<MulticlassPredictionTransformer<Microsoft.ML.Trainers.MaximumEntropyModelParameters>> model = pipeline.Fit(data))
            {
                weights = 4e-6 * model.OfType<SiglipImageFeaturizingTransformer>().Single().Embedder.Model.parameters().Sum(parameter => parameter.numel());
                predictions = Predict(mlContext, model);
                long start = Stopwatch.GetTimestamp();
                mlContext.Model.Save(model, data.Schema, file);
                seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            }

            GC.Collect();
            string[] loaded = InNewProcess(file);
            string same = loaded[3] == predictions ? "the same bits" : "OTHER";
            double size = new FileInfo(file).Length / 1e6;
            string kind = embedWeights ? "in the file" : "by reference";
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"| {name} | {kind} | {weights:N1} | {size:N2} | {seconds:F2} | {loaded[0]} | {loaded[1]} | {loaded[2]} | {same} |"));
            results.Add(new JsonObject
            {
                ["model"] = name,
                ["weights"] = kind,
                ["weights_mb"] = Math.Round(weights, 2),
                ["saved_mb"] = Math.Round(size, 3),
                ["seconds_to_save"] = Math.Round(seconds, 3),
                ["seconds_to_load"] = double.Parse(loaded[0], CultureInfo.InvariantCulture),
                ["seconds_to_load_again"] = double.Parse(loaded[1], CultureInfo.InvariantCulture),
                ["peak_mb"] = double.Parse(loaded[2], CultureInfo.InvariantCulture),
                ["same_predictions"] = loaded[3] == predictions,
            });
            File.Delete(file);
        }
    }

    private static string[] InNewProcess(string file)
    {
        using Process process = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, ["saved-models", "--load", file]) { RedirectStandardOutput = true })!;
        string text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? text.TrimEnd().Split('\n') : throw new InvalidOperationException($"The new process failed with exit code {process.ExitCode}.");
    }

    private static int Load(string file)
    {
        var mlContext = new MLContext { TempFilePath = Path.GetDirectoryName(file)! };
        long start = Stopwatch.GetTimestamp();
        ITransformer model = mlContext.Model.Load(file, out _);
        double first = Stopwatch.GetElapsedTime(start).TotalSeconds;
        start = Stopwatch.GetTimestamp();
        ITransformer again = mlContext.Model.Load(file, out _); // shares the weights
        double second = Stopwatch.GetElapsedTime(start).TotalSeconds;
        using var process = Process.GetCurrentProcess();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{first:F2}\n{second:F2}\n{process.PeakWorkingSet64 / 1e6:F0}"));
        (again as IDisposable)?.Dispose();
        Console.WriteLine(Predict(mlContext, model));
        (model as IDisposable)?.Dispose();
        return 0;
    }

    // The bits of all scores.
    private static string Predict(MLContext mlContext, ITransformer model) => Convert.ToHexString(MemoryMarshal.AsBytes<float>(
        [.. model.Transform(mlContext.Data.LoadFromEnumerable(Photos(4))).GetColumn<float[]>("Score").SelectMany(scores => scores)]));

    private static Photo[] Photos(int count)
    {
        ImageFolderDataset photos = ImageFolderDataset.Open(Path.Combine("samples", "cifar10"));
        return [.. Enumerable.Range(0, count).Select(i => photos.Images[i * 25]).Select(image => new Photo { ImagePath = image.Path, Label = photos.Labels[image.Label] })];
    }

    private sealed class Photo
    {
        public string ImagePath { get; set; } = "";

        public string Label { get; set; } = "";
    }
}
