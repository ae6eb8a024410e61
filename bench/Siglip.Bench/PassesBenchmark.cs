using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;
using Siglip.MLNet;

namespace Siglip.Bench;

/// <summary><c>passes</c>: how often images are embedded by a trainer of many passes, and by cross-validation, with and without a cache.</summary>
internal static class PassesBenchmark
{
    private const int Folds = 5;
    private const int Iterations = 20; // by default SDCA goes on until it converges, for thousands of passes over few rows

    public static Command Create()
    {
        var count = new Option<int>("--images") { Description = "Number of images of samples/cifar10, at most 200.", DefaultValueFactory = _ => 100 };
        var output = Report.Option("passes.json");
        var command = new Command("passes", "Count forward passes of ML.NET trainers and cross-validation.") { count, output };
        command.SetAction(parsed => Run(Math.Clamp(parsed.GetValue(count), 20, 200), parsed.GetRequiredValue(output)));
        return command;
    }

    private static int Run(int count, string output)
    {
        JsonObject machine = Machine.Describe();
        Console.WriteLine(Machine.Line(machine));
        Console.WriteLine($"{count} images of samples/cifar10, model nano, pooled embeddings, batches of 16.");
        Console.WriteLine();
        Console.WriteLine("| what | images embedded | forward passes | seconds |");
        Console.WriteLine("|---|---|---|---|");
        string file = Path.Combine(Path.GetTempPath(), $"siglip-passes-{Guid.NewGuid():N}.db");
        var results = new JsonArray();
        try
        {
            results.Add(Measure($"SDCA of {Iterations} iterations, AppendCacheCheckpoint", count, Sdca, checkpoint: true));
            results.Add(Measure($"SDCA of {Iterations} iterations, nothing", count, Sdca, checkpoint: false));
            results.Add(Measure($"SDCA of {Iterations} iterations, embedding cache", count, Sdca, checkpoint: false, new SiglipEmbeddingCacheOptions()));
            results.Add(Measure($"{Folds}-fold CrossValidate, AppendCacheCheckpoint", count, CrossValidate, checkpoint: true));
            results.Add(Measure($"{Folds}-fold CrossValidate, AppendCacheCheckpoint, embedding cache", count, CrossValidate, checkpoint: true, new SiglipEmbeddingCacheOptions()));
            results.Add(Measure("the same, the cache in a new file", count, CrossValidate, checkpoint: true, new SiglipEmbeddingCacheOptions { Path = file }));
            results.Add(Measure("the same, the file of the run before", count, CrossValidate, checkpoint: true, new SiglipEmbeddingCacheOptions { Path = file }));
        }
        finally
        {
            File.Delete(file);
        }

        Report.Write(output, new JsonObject { ["machine"] = machine, ["images"] = count, ["results"] = results });
        return 0;
    }

    private static JsonObject Measure(
        string name, int count, Func<MLContext, IDataView, bool, SiglipImageFeaturizingTransformer[]> work, bool checkpoint, SiglipEmbeddingCacheOptions? cacheOptions = null)
    {
        var mlContext = new MLContext(seed: 1);
        ImageFolderDataset photos = ImageFolderDataset.Open(Path.Combine("samples", "cifar10"));
        int step = photos.Images.Count / count; // images of all classes
        IDataView data = mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, count).Select(i => photos.Images[i * step])
            .Select(image => new Photo { ImagePath = image.Path, Label = photos.Labels[image.Label] }).ToArray());
        using SiglipEmbeddingCache? cache = cacheOptions is null ? null : mlContext.CacheSiglipEmbeddings(cacheOptions);
        long start = Stopwatch.GetTimestamp();
        SiglipImageFeaturizingTransformer[] used = work(mlContext, data, checkpoint);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        long images = used.Sum(transformer => transformer.ImagesEmbedded), passes = used.Sum(transformer => transformer.ForwardPasses);
        foreach (SiglipImageFeaturizingTransformer transformer in used)
            transformer.Dispose();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {name} | {images:N0} | {passes:N0} | {seconds:F2} |"));
        return new JsonObject { ["name"] = name, ["images_embedded"] = images, ["forward_passes"] = passes, ["seconds"] = Math.Round(seconds, 3) };
    }

    private static SiglipImageFeaturizingTransformer[] Sdca(MLContext mlContext, IDataView data, bool checkpoint) =>
        [FeaturizerOf(Pipeline(mlContext, checkpoint, mlContext.MulticlassClassification.Trainers.SdcaMaximumEntropy(maximumNumberOfIterations: Iterations)).Fit(data))];

    private static SiglipImageFeaturizingTransformer[] CrossValidate(MLContext mlContext, IDataView data, bool checkpoint) =>
        [.. mlContext.MulticlassClassification
            .CrossValidate(data, Pipeline(mlContext, checkpoint, mlContext.MulticlassClassification.Trainers.LbfgsMaximumEntropy()), Folds)
            .Select(result => FeaturizerOf(result.Model))];

    private static EstimatorChain<ITransformer> Pipeline(MLContext mlContext, bool checkpoint, IEstimator<ITransformer> trainer)
    {
        var embedding = mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Append(mlContext.Transforms.SiglipFeaturizeImage("Features", "ImagePath", output: SiglipOutputKind.PooledEmbedding));
        return checkpoint ? embedding.AppendCacheCheckpoint(mlContext).Append(trainer) : embedding.Append(trainer);
    }

    private static SiglipImageFeaturizingTransformer FeaturizerOf(ITransformer model) => model switch
    {
        SiglipImageFeaturizingTransformer found => found,
        IEnumerable<ITransformer> chain => chain.Select(FeaturizerOf).First(found => found is not null),
        _ => null!,
    };

    private sealed class Photo
    {
        public string ImagePath { get; set; } = "";

        public string Label { get; set; } = "";
    }
}
