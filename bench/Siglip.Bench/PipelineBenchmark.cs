using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.ML;
using Siglip.Core;
using Siglip.Core.Tests;
using Siglip.MLNet;
using SkiaSharp;

namespace Siglip.Bench;

/// <summary><c>pipeline</c>: from JPEG files to embeddings, beside the model alone, decoding and resizing alone, and Pillow's, in turns.</summary>
internal static class PipelineBenchmark
{
    private static readonly (int Width, int Height)[] Sizes = [(32, 32), (1800, 1200), (4000, 3000)];

    public static Command Create()
    {
        var rounds = new Option<int>("--rounds") { Description = "Measurements of each kind, in turns.", DefaultValueFactory = _ => 7 };
        var photos = new Option<string?>("--photos") { Description = "A folder of JPEG photos to scale; by default the images of samples/cifar10, many to a picture." };
        var small = new Option<int>("--small") { Description = "Images of 32 x 32 in a measurement with nano.", DefaultValueFactory = _ => 512 };
        var large = new Option<int>("--large") { Description = "Images in every other measurement.", DefaultValueFactory = _ => 16 };
        var quick = new Option<bool>("--quick") { Description = "One round of two images each, to try it." };
        Option<string> output = Report.Option("pipeline.json");
        var command = new Command("pipeline", "Measure the way from JPEG files to embeddings.") { rounds, photos, small, large, quick, output };
        command.SetAction(async (parsed, _) => parsed.GetValue(quick)
            ? await RunAsync(1, parsed.GetValue(photos), 2, 2, parsed.GetRequiredValue(output))
            : await RunAsync(Math.Max(parsed.GetValue(rounds), 1), parsed.GetValue(photos), parsed.GetValue(small), parsed.GetValue(large), parsed.GetRequiredValue(output)));
        return command;
    }

    /// <summary>The table of a run.</summary>
    public static string Tables(JsonObject document)
    {
        var text = new StringBuilder();
        string pillow = document["pillow"] is { } versions ? $"Pillow {versions["pillow"]}, as many threads as cores." : "No Python with Pillow.";
        text.AppendLine($"Median images per second of {document["rounds"]} rounds in turns. The ideal: the processor time of model and decoding, added, on all cores. {pillow}").AppendLine();
        text.AppendLine("| model | image | decoding | model alone | decode and resize alone | Pillow: decode and resize | ideal | EmbedAsync | share of the ideal | of the model | ML.NET cursor | share of the ideal |");
        text.AppendLine("|---|---|---|---|---|---|---|---|---|---|---|---|");
        foreach (JsonObject result in document["results"]!.AsArray().OfType<JsonObject>())
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"| {result["model"]} | {result["width"]} x {result["height"]} | {((bool)result["fast_decode"]! ? "fast" : "exact")} | {Rate("model"):F1} | {Rate("decode"):F1} | "
                + $"{(document["pillow"] is null ? "" : $"{Rate("pillow"):F1}")} | {(double)result["ideal_images_per_second"]!:F1} | {Rate("embed_async"):F1} | {(double)result["embed_async_by_ideal"]!:P0} | "
                + $"{(double)result["embed_async_by_model"]!:P0} | {Rate("cursor"):F1} | {(double)result["cursor_by_ideal"]!:P0} |");

            double Rate(string kind) => 1000 / (double)result[$"{kind}_ms_per_image"]!["median_ms"]!;
        }

        return text.ToString();
    }

    private static async Task<int> RunAsync(int rounds, string? photos, int small, int large, string output)
    {
        JsonObject machine = Machine.Describe();
        Console.WriteLine(Machine.Line(machine));
        using PillowDecoding? pillow = PillowDecoding.TryStart();
        var results = new JsonArray();
        DirectoryInfo folder = Directory.CreateTempSubdirectory("siglip-pipeline-");
        try
        {
            string baseFolder = Path.Combine(folder.FullName, "base");
            using (SiglipVisionModel model = FormulaWeights.CreateModel(new SiglipVisionConfig()))
                model.SavePretrained(baseFolder, new SiglipImageProcessorConfig());
            foreach ((int width, int height) in Sizes)
            {
                string[] files = MakePhotos(photos, width, height, Path.Combine(folder.FullName, $"{width}"));
                foreach ((string name, string model) in ((string, string)[])[("nano", "nano"), ("base", baseFolder)])
                {
                    int count = width == 32 && name == "nano" ? small : large;
                    foreach (bool fast in width == 32 ? (bool[])[false] : [false, true])
                        results.Add(await MeasureAsync(name, model, [.. Enumerable.Range(0, count).Select(i => files[i % files.Length])], width, height, fast, rounds, pillow));
                }
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }

        var document = new JsonObject
        {
            ["machine"] = machine,
            ["pillow"] = pillow?.Versions.DeepClone(),
            ["rounds"] = rounds,
            ["photos"] = photos is null ? "samples/cifar10" : Path.GetFileName(Path.TrimEndingDirectorySeparator(photos)),
            ["results"] = results,
        };
        Report.Write(output, document);
        Console.WriteLine();
        Console.WriteLine(Tables(document));
        Console.WriteLine($"The figures are in {output}.");
        return 0;
    }

    private static async Task<JsonObject> MeasureAsync(
        string name, string model, string[] files, int width, int height, bool fast, int rounds, PillowDecoding? pillow)
    {
        const int BatchSize = 8;
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(model, new() { BatchSize = BatchSize, FastDecode = fast });
        var mlContext = new MLContext();
        IDataView paths = mlContext.Data.LoadFromEnumerable(files.Select(path => new Row { Path = path }));
        using SiglipImageFeaturizingTransformer featurizer = mlContext.Transforms.SiglipFeaturizeImage(new SiglipImageFeaturizingOptions
        {
            InputColumnName = nameof(Row.Path),
            Columns = { ["Embedding"] = SiglipOutputKind.PooledEmbedding },
            Model = model,
            BatchSize = BatchSize,
            FastDecode = fast,
        }).Fit(paths);
        var size = (SiglipImageProcessorConfig)embedder.ProcessorConfig;

        PixelValueBatch batch = embedder.CreateBatch();
        batch.Ensure(BatchSize - 1);
        var kinds = new Dictionary<string, Func<Task>>
        {
            ["model"] = () =>
            {
                for (int i = 0; i < files.Length; i += BatchSize)
                    embedder.Embed(batch, Math.Min(BatchSize, files.Length - i), embedder.Output);
                return Task.CompletedTask;
            },
            ["decode"] = () =>
            {
                PixelValueBatch decoded = embedder.CreateBatch();
                decoded.Ensure(files.Length - 1);
                ParallelLoop.For(files.Length, i => Decode(embedder, decoded, i, files[i]));
                return Task.CompletedTask;
            },
            ["embed_async"] = async () =>
            {
                await foreach (SiglipImageEmbedding _ in embedder.EmbedAsync(files.ToAsyncEnumerable(), CancellationToken.None))
                {
                }
            },
            ["cursor"] = () =>
            {
                if (mlContext.Data.CreateEnumerable<Embedding>(featurizer.Transform(paths), reuseRowObject: true).Count() != files.Length)
                    throw new InvalidOperationException("Rows are missing.");
                return Task.CompletedTask;
            },
        };

        for (int slot = 0; slot < BatchSize; slot++)
            Decode(embedder, batch, slot, files[slot % files.Length]);
        var wall = kinds.Keys.Append("pillow").ToDictionary(kind => kind, _ => new Timings());
        var processor = kinds.Keys.ToDictionary(kind => kind, _ => new Timings());
        for (int round = -1; round < rounds; round++) // the first one to warm up
        {
            foreach ((string kind, Func<Task> work) in kinds)
            {
                TimeSpan before = Environment.CpuUsage.TotalTime;
                long start = Stopwatch.GetTimestamp();
                await work();
                if (round < 0)
                    continue;
                wall[kind].Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds / files.Length);
                processor[kind].Add((Environment.CpuUsage.TotalTime - before).TotalMilliseconds / files.Length);
            }

            if (pillow?.Measure(files, size, fast) is { } milliseconds && round >= 0)
                wall["pillow"].Add(milliseconds / files.Length);
        }

        double ideal = wall["model"].Median + wall["decode"].Median; // both use all cores
        double Rate(string kind) => 1000 / wall[kind].Median;
        double Share(string kind) => ideal / wall[kind].Median;
        var result = new JsonObject
        {
            ["model"] = name,
            ["width"] = width,
            ["height"] = height,
            ["fast_decode"] = fast,
            ["images"] = files.Length,
            ["batch_size"] = BatchSize,
            ["ideal_images_per_second"] = Math.Round(1000 / ideal, 2),
            ["embed_async_by_ideal"] = Math.Round(Share("embed_async"), 3),
            ["embed_async_by_model"] = Math.Round(Rate("embed_async") / Rate("model"), 3),
            ["cursor_by_ideal"] = Math.Round(Share("cursor"), 3),
        };
        foreach (string kind in wall.Keys.Where(kind => kind != "pillow" || pillow is not null))
        {
            result[$"{kind}_ms_per_image"] = wall[kind].ToJson();
            if (processor.TryGetValue(kind, out Timings? used))
                result[$"{kind}_processor_ms_per_image"] = used.ToJson();
        }

        return result;
    }

    private static void Decode(SiglipImageEmbedder embedder, PixelValueBatch batch, int slot, string file)
    {
        using PixelRows rows = ImageDecoder.Open(RgbImage.ReadFile(file), file, embedder.Reading);
        batch.Preprocess(slot, rows);
    }

    /// <summary>Eight different pictures: photos, scaled, or what many small images make side by side.</summary>
    private static string[] MakePhotos(string? photos, int width, int height, string folder)
    {
        const int Pictures = 8;
        Directory.CreateDirectory(folder);
        string[] sources = [.. Directory.EnumerateFiles(photos ?? Path.Combine("samples", "cifar10"), photos is null ? "*.png" : "*.jpg", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];
        if (sources.Length == 0)
            throw new FileNotFoundException($"There are no images in '{photos ?? "samples/cifar10"}'; run from the repository's root, or name a folder with --photos.");
        return [.. Enumerable.Range(0, Pictures).Select(picture =>
        {
            using var bitmap = new SKBitmap(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Opaque));
            using (var canvas = new SKCanvas(bitmap))
            using (var smooth = new SKPaint { FilterQuality = SKFilterQuality.High })
            {
                int columns = photos is null && width > 32 ? 6 : 1, rows = photos is null && width > 32 ? 4 : 1;
                for (int i = 0; i < columns * rows; i++)
                {
                    using SKBitmap source = SKBitmap.Decode(sources[((picture * columns * rows) + i) % sources.Length]);
                    float left = i % columns * (float)width / columns, top = i / columns * (float)height / rows;
                    canvas.DrawBitmap(source, new SKRect(left, top, left + ((float)width / columns), top + ((float)height / rows)), smooth);
                }
            }

            if (photos is null)
                AddGrain(bitmap, picture);
            string path = Path.Combine(folder, $"{picture}.jpg");
            using SKData data = bitmap.Encode(SKEncodedImageFormat.Jpeg, 90);
            File.WriteAllBytes(path, data.ToArray());
            return path;
        })];
    }

    // Enlarged pictures are smooth, and decoded faster than those of a camera.
    private static void AddGrain(SKBitmap bitmap, int seed)
    {
        byte[] pixels = bitmap.Bytes;
        uint state = (uint)seed + 1;
        for (int i = 0; i < pixels.Length; i++)
        {
            state = (state * 1664525) + 1013904223;
            pixels[i] = i % 4 == 3 ? (byte)255 : (byte)Math.Clamp(pixels[i] + (int)(state >> 28) - 8, 0, 255);
        }

        Marshal.Copy(pixels, 0, bitmap.GetPixels(), pixels.Length);
    }

    private sealed class Row
    {
        public string Path { get; set; } = "";
    }

    private sealed class Embedding
    {
        [Microsoft.ML.Data.ColumnName("Embedding")]
        public float[] Values { get; set; } = [];
    }

    /// <summary>A Python process that runs pillow_decode.py.</summary>
    private sealed class PillowDecoding(AnsweringProcess process) : IDisposable
    {
        public JsonObject Versions => process.Versions;

        /// <returns>Null if there is no Python with Pillow.</returns>
        public static PillowDecoding? TryStart()
        {
            try
            {
                return new PillowDecoding(AnsweringProcess.StartPython("pillow_decode.py", [], new Dictionary<string, string>(), "There is no Python with Pillow."));
            }
            catch (FileNotFoundException)
            {
                return null;
            }
        }

        /// <summary>Decodes and resizes the files, on all cores.</summary>
        /// <returns>Milliseconds in all.</returns>
        public double Measure(string[] files, SiglipImageProcessorConfig size, bool draft) => (double)process.Ask(new JsonObject
        {
            ["files"] = new JsonArray([.. files.Select(file => JsonValue.Create(file))]),
            ["size"] = new JsonArray(size.Width, size.Height),
            ["resample"] = (int)size.Resample,
            ["draft"] = draft,
        })["milliseconds"]!;

        public void Dispose() => process.Dispose();
    }
}
