using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Trainers;
using Siglip.Core;

namespace Siglip.Bench;

/// <summary><c>accuracy</c>: what lower precision changes, in the direction of embeddings and in what a linear classifier says of them.</summary>
internal static class AccuracyBenchmark
{
    private const int Batch = 8;

    private static readonly SiglipEmbeddingOutputs[] Outputs =
        [SiglipEmbeddingOutputs.PooledEmbedding, SiglipEmbeddingOutputs.MeanPatchEmbedding, SiglipEmbeddingOutputs.PatchEmbeddings];

    private static readonly SiglipPrecision[] Lower = [.. Enum.GetValues<SiglipPrecision>().Where(precision => precision != SiglipPrecision.Float32)];

    public static Command Create()
    {
        var photos = new Option<string>("--photos") { Description = "A folder of photos to embed, with those in its folders.", DefaultValueFactory = _ => Path.Combine("samples", "cifar10") };
        var count = new Option<int>("--count") { Description = "At most so many of them, evenly chosen.", DefaultValueFactory = _ => 20 };
        var train = new Option<string>("--train") { Description = "Images to train a linear classifier on, one folder per class.", DefaultValueFactory = _ => Path.Combine("samples", "cifar10") };
        var test = new Option<string>("--test") { Description = "Other images of the same classes.", DefaultValueFactory = _ => Path.Combine("samples", "cifar10-new") };
        var quick = new Option<bool>("--quick") { Description = "Small models only, to try it." };
        var output = Report.Option("accuracy.json");
        var command = new Command("accuracy", "Compare the embeddings of lower precision with float32's.") { photos, count, train, test, quick, output };
        command.SetAction(parsed => Run(
            PhotosIn(parsed.GetRequiredValue(photos), Math.Max(parsed.GetValue(count), 1)),
            ImageFolderDataset.Open(parsed.GetRequiredValue(train)),
            ImageFolderDataset.Open(parsed.GetRequiredValue(test)),
            parsed.GetValue(quick),
            parsed.GetRequiredValue(output)));
        return command;
    }

    /// <summary>The tables of a run.</summary>
    public static string Tables(JsonObject document)
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"**Cosine similarity with float32's embeddings**, of {document["images"]} photos: the least (the mean).").AppendLine();
        text.AppendLine("| model | layers | image size | precision | pooled | mean of the patches | patches |");
        text.AppendLine("|---|---|---|---|---|---|---|");
        foreach (JsonNode? result in document["cosines"]!.AsArray())
        {
            string similarities = string.Join(" | ", Outputs.Select(output => result![output.ToString()]!).Select(similarity =>
                string.Create(CultureInfo.InvariantCulture, $"{(double)similarity["min"]!:F4} ({(double)similarity["mean"]!:F4})")));
            text.AppendLine($"| {result!["model"]} | {result["layers"]} | {result["image_size"]} | {result["precision"]} | {similarities} |");
        }

        JsonObject classifier = document["classifier"]!.AsObject();
        text.AppendLine().AppendLine(CultureInfo.InvariantCulture, $"**A linear classifier** (LbfgsMaximumEntropy) on nano's pooled embeddings, trained on {(int)classifier["train"]!:N0} images and tested on "
            + $"{(int)classifier["test"]!:N0} others: {(double)classifier["float32"]!:P2} of them right in float32.").AppendLine();
        text.AppendLine("| precision | trained and tested in it | points | trained in float32, tested in it | points | the same answer as float32 |");
        text.AppendLine("|---|---|---|---|---|---|");
        double expected = (double)classifier["float32"]!;
        foreach (JsonNode? result in classifier["lower"]!.AsArray())
        {
            double own = (double)result!["own"]!, same = (double)result["same_classifier"]!;
            text.AppendLine(CultureInfo.InvariantCulture, $"| {result["precision"]} | {own:P2} | {100 * (own - expected):+0.00;-0.00;0.00} | {same:P2} | {100 * (same - expected):+0.00;-0.00;0.00} | "
                + $"{(double)result["same_answer"]!:P2} |");
        }

        return text.ToString();
    }

    private static int Run(string[] photos, ImageFolderDataset train, ImageFolderDataset test, bool quick, string output)
    {
        RgbImage[] images = [.. photos.Select(photo => RgbImage.Load(photo))];
        var cosines = new JsonArray();
        using (PeerModel nano = PeerModel.OfNano())
            Compare("nano", nano, 32, images, cosines);
        foreach (int layers in quick ? [2] : (int[])[2, 6, 12])
        {
            using PeerModel model = PeerModel.OfFormula(new SiglipVisionConfig { NumHiddenLayers = layers });
            foreach (int size in quick ? [224] : (int[])[224, 384])
                Compare("base-patch16-224", model, size, images, cosines);
        }

        var document = new JsonObject
        {
            ["machine"] = Machine.Describe(),
            ["images"] = images.Length,
            ["cosines"] = cosines,
            ["classifier"] = Classify(train, test),
        };
        Report.Write(output, document);
        Console.WriteLine(Machine.Line(document["machine"]!.AsObject()));
        Console.WriteLine();
        Console.WriteLine(Tables(document));
        Console.WriteLine($"The figures are in {output}.");
        return 0;
    }

    private static string[] PhotosIn(string folder, int count)
    {
        string[] files = [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Where(ImageFolderDataset.IsImageFile).Order(StringComparer.Ordinal)];
        return files.Length == 0
            ? throw new ArgumentException($"The folder '{folder}' has no images; expected photos to embed.")
            : [.. Enumerable.Range(0, Math.Min(count, files.Length)).Select(i => files[i * files.Length / Math.Min(count, files.Length)])];
    }

    private static void Compare(string name, PeerModel model, int size, RgbImage[] images, JsonArray results)
    {
        Console.Error.WriteLine($"{name}, {model.Config.NumHiddenLayers} layers, {size} pixels ...");
        float[][][] expected = Embed(SiglipPrecision.Float32);
        foreach (SiglipPrecision precision in Lower)
        {
            float[][][] actual = Embed(precision);
            var result = new JsonObject
            {
                ["model"] = name,
                ["layers"] = model.Config.NumHiddenLayers,
                ["image_size"] = size,
                ["precision"] = precision.ToString().ToLowerInvariant(),
            };
            foreach ((SiglipEmbeddingOutputs output, (float[][] mine, float[][] reference)) in Outputs.Zip(actual.Zip(expected)))
            {
                double[] similarities = [.. mine.Zip(reference, Similarity.Cosine)];
                result[output.ToString()] = new JsonObject { ["min"] = Math.Round(similarities.Min(), 6), ["mean"] = Math.Round(similarities.Average(), 6) };
            }

            results.Add(result);
        }

        // For each output, the embeddings of all images, for patches of all their patches.
        float[][][] Embed(SiglipPrecision precision)
        {
            using var embedder = SiglipImageEmbedder.FromPretrained(model.Folder, new SiglipImageEmbedderOptions
            {
                Precision = precision,
                ImageHeight = size,
                ImageWidth = size,
                InterpolatePositionEncoding = true,
            });
            SiglipImageEmbeddings[] batches = [.. images.Chunk(Batch).Select(batch => embedder.EmbedBatch(batch, Outputs.Aggregate((all, output) => all | output)))];
            return [.. Outputs.Select(output => batches.SelectMany(batch => Enumerable.Range(0, batch.Count).SelectMany(i =>
                batch.Get(output, i).ToArray().Chunk(model.Config.HiddenSize))).ToArray())];
        }
    }

    private static JsonObject Classify(ImageFolderDataset train, ImageFolderDataset test)
    {
        var mlContext = new MLContext(seed: 1);
        Row[] trained = Embed(train, SiglipPrecision.Float32), tested = Embed(test, SiglipPrecision.Float32);
        ITransformer classifier = Fit(trained);
        string[] expected = Predict(classifier, tested);
        var lower = new JsonArray();
        foreach (SiglipPrecision precision in Lower.Intersect(Peer.Precisions)) // the others would take very long here
        {
            Row[] trainedLower = Embed(train, precision), testedLower = Embed(test, precision);
            string[] own = Predict(Fit(trainedLower), testedLower), same = Predict(classifier, testedLower);
            lower.Add(new JsonObject
            {
                ["precision"] = precision.ToString().ToLowerInvariant(),
                ["own"] = Right(own),
                ["same_classifier"] = Right(same),
                ["same_answer"] = Share(same, expected),
            });
        }

        return new JsonObject { ["train"] = train.Count, ["test"] = test.Count, ["float32"] = Right(expected), ["lower"] = lower };

        double Right(string[] labels) => Share(labels, [.. tested.Select(row => row.Label)]);

        static double Share(string[] labels, string[] others) => Math.Round(labels.Zip(others).Count(pair => pair.First == pair.Second) / (double)labels.Length, 5);

        ITransformer Fit(Row[] rows) => mlContext.Transforms.Conversion.MapValueToKey("Key", nameof(Row.Label))
            .Append(mlContext.MulticlassClassification.Trainers.LbfgsMaximumEntropy(new LbfgsMaximumEntropyMulticlassTrainer.Options
            {
                LabelColumnName = "Key",
                NumberOfThreads = 1, // sums in one order: the same classifier in every run
            }))
            .Append(mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel"))
            .Fit(View(rows));

        string[] Predict(ITransformer model, Row[] rows) => [.. model.Transform(View(rows)).GetColumn<string>("PredictedLabel")];

        IDataView View(Row[] rows)
        {
            SchemaDefinition schema = SchemaDefinition.Create(typeof(Row));
            schema[nameof(Row.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, rows[0].Features.Length);
            return mlContext.Data.LoadFromEnumerable(rows, schema);
        }
    }

    private static Row[] Embed(ImageFolderDataset images, SiglipPrecision precision)
    {
        Console.Error.WriteLine($"nano, {precision}: {images.Count:N0} images ...");
        using var embedder = SiglipImageEmbedder.FromPretrained("nano", new SiglipImageEmbedderOptions { Precision = precision, BatchSize = 64 });
        IEnumerable<SiglipImageEmbedding> embeddings =
            embedder.EmbedAsync(images.Images.Select(image => image.Path).ToAsyncEnumerable(), CancellationToken.None).ToBlockingEnumerable();
        return [.. embeddings.Select((embedding, i) => new Row { Features = embedding.Values, Label = images.Labels[images.LabelOf(i)] })];
    }

    private sealed class Row
    {
        public float[] Features { get; set; } = [];

        public string Label { get; set; } = "";
    }
}
