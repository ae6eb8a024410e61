using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary><c>siglip explain</c>: pictures of what a model sees in an image, or of how it sees a folder of images.</summary>
internal static class ExplainVerb
{
    private const int MostThumbnails = 400; // more would hide each other

    public static Command Create()
    {
        var image = new Argument<string>("IMAGE") { Description = "An image file; or a folder of class folders, for a map of its images." };
        var output = new Option<string>("--output") { Description = "The folder to write to: PNG files, and report.html, a page with all of them that explains what they show.", Required = true };
        Option<string> model = CommonOptions.Model();
        model.Description += " Or a model written by siglip train: then its labels are explained.";
        var patch = new Option<string?>("--patch") { Description = "row,column, counted from 0 at the top left: whose attention and similarity are shown. The default is the middle." };
        patch.Expect(text => ParsePatch(text) is not null, "row,column, two whole numbers from 0, such as 3,5");
        var label = new Option<string?>("--label") { Description = "The class to explain, instead of the most probable one." };
        Option<string> device = CommonOptions.Device();
        var checkpoint = new CheckpointOptions();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("explain", "Show what a model sees: patches, attention, embeddings, and why it gives a label.")
        {
            image, output, model, checkpoint.Revision, patch, label, device, checkpoint.Precision, checkpoint.ImageBackend, checkpoint.ImageSize, checkpoint.InterpolatePositionEncoding,
            checkpoint.MaxNumPatches, checkpoint.ApplyExifOrientation, json,
        };
        GroupedHelp.Add(command, [],
            "# pictures and a page of what nano sees in a photo, and why it gives its label", "siglip explain cat.jpg --output explained",
            "# where the patch in row 2, column 5 looks, and what speaks for another label", "siglip explain cat.jpg --patch 2,5 --label dog --output explained",
            "# the labels of a model written by siglip train", "siglip explain cat.jpg --model model.zip --output explained",
            "# a map of all images of a folder of class folders", "siglip explain photos --output map");
        command.SetAction((parsed, cancellationToken) =>
        {
            (string input, string folder, string name) = (parsed.GetRequiredValue(image), parsed.GetRequiredValue(output), parsed.GetRequiredValue(model));
            CheckpointSettings settings = checkpoint.Read(parsed);
            StagedFiles.CheckFolderWritable(folder);
            if (!Directory.Exists(input))
                return Task.FromResult(ExplainImage(input, folder, name, ParsePatch(parsed.GetValue(patch)), parsed.GetValue(label), parsed.GetRequiredValue(device), settings, parsed.GetValue(json), cancellationToken));
            if ((parsed.GetValue(patch) is null ? parsed.GetValue(label) is null ? null : label.Name : patch.Name) is { } ofImage)
                throw new ArgumentException($"{ofImage} is for one image, and '{input}' is a folder; leave the option out, or name an image.");
            return Task.FromResult(MapFolder(input, folder, name, parsed.GetRequiredValue(device), settings, parsed.GetValue(json), cancellationToken));
        });
        return command;
    }

    private static int ExplainImage(
        string image, string folder, string model, (int Row, int Column)? patch, string? label, string device, CheckpointSettings settings, bool json, CancellationToken cancellationToken)
    {
        using SiglipExplainer explainer = LoadExplainer(model, device, settings, cancellationToken);
        if (label is not null && explainer.Labels is null)
            throw new ArgumentException($"--label is '{label}', but '{model}' has no classifier; leave the option out, or name a model with a classifier, such as one written by siglip train.");
        long start = Stopwatch.GetTimestamp();
        cancellationToken.ThrowIfCancellationRequested();
        SiglipExplanation explanation = explainer.Explain(image);
        cancellationToken.ThrowIfCancellationRequested();
        IReadOnlyList<string> files = explanation.SaveReport(folder, patch, label);
        ThrowIfCancelledAfterwards(folder, cancellationToken);
        TimeSpan elapsed = Stopwatch.GetElapsedTime(start);
        if (json)
        {
            Results.WriteJson(ToJson(explanation, image, model, patch ?? explanation.MiddlePatch, label, files));
        }
        else
        {
            if (explanation.PredictedLabel is { } predicted)
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{image}: {predicted} ({explanation.Probabilities!.Max():P1})"));
            Console.WriteLine($"{files.Count - 1} pictures are in {folder}; the page with all of them is {files[0]}");
        }

        CommandLineRunner.Summarize(1, failed: 0, 1 / elapsed.TotalSeconds, $"the pictures are in {folder}");
        return CommandLineRunner.Success;
    }

    // What is written stays.
    private static void ThrowIfCancelledAfterwards(string folder, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
            throw new VerbCanceledException($"cancelled; the pictures are in {folder} all the same.");
    }

    private static SiglipExplainer LoadExplainer(string model, string device, CheckpointSettings settings, CancellationToken cancellationToken)
    {
        if (NamedModel.IsSaved(model))
        {
            settings.CheckNone(model);
            using var saved = SavedModelClassifier.Load(model, CommonOptions.GpuDeviceId(device));
            return saved.CreateExplainer(model);
        }

        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(NamedModel.Fetch(model, settings.Revision, cancellationToken));
        settings.CheckFit(checkpoint.Config);
        RunDetails.Of(checkpoint);
        return SiglipExplainer.Load(checkpoint, settings.ToEmbedderOptions() with { Device = device });
    }

    private static JsonObject ToJson(
        SiglipExplanation explanation, string image, string model, (int Row, int Column) patch, string? label, IEnumerable<string> files) => new()
        {
            ["image"] = image,
            ["model"] = model,
            ["patchGrid"] = new JsonArray(explanation.PatchGrid.Rows, explanation.PatchGrid.Columns),
            ["label"] = explanation.PredictedLabel,
            ["probabilities"] = explanation.Labels is { } labels
                ? new JsonObject(labels.Select((name, i) => KeyValuePair.Create(name, (JsonNode?)explanation.Probabilities![i])))
                : null,
            ["attentionDistance"] = new JsonArray([.. Enumerable.Range(0, explanation.Attentions.Count).Select(layer =>
                new JsonArray([.. Enumerable.Range(0, explanation.Heads).Select(head => (JsonNode)explanation.GetAttentionDistance(layer, head))]))]),
            ["probeAttention"] = explanation.ProbeAttention is null ? null : ToJson(explanation.GetProbeAttention()),
            ["rollout"] = ToJson(explanation.GetRollout()),
            ["patch"] = new JsonArray(patch.Row, patch.Column),
            ["patchRollout"] = ToJson(explanation.GetRollout(patch.Row, patch.Column)),
            ["patchSimilarity"] = ToJson(explanation.GetSimilarity(patch.Row, patch.Column)),
            ["relevance"] = explanation.Labels is null
                ? null
                : new JsonObject { ["label"] = label ?? explanation.PredictedLabel, ["values"] = ToJson(explanation.GetRelevance(label)) },
            ["files"] = new JsonArray([.. files.Select(file => (JsonNode)file)]),
        };

    // Rows of columns.
    private static JsonArray ToJson(SiglipPatchMap map) =>
        new([.. map.Values.ToArray().Chunk(map.Grid.Columns).Select(row => new JsonArray([.. row.Select(value => (JsonNode)value)]))]);

    private static int MapFolder(string folder, string output, string model, string device, CheckpointSettings settings, bool json, CancellationToken cancellationToken)
    {
        if (NamedModel.IsSaved(model))
            throw new ArgumentException($"'{model}' is a saved ML.NET model; a map of a folder is made with a checkpoint: name its folder, or nano.");
        ImageFolderDataset dataset = ImageInputs.OpenDataset(folder, minimumClasses: 1);
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(NamedModel.Fetch(model, settings.Revision, cancellationToken));
        settings.CheckFit(checkpoint.Config);
        RunDetails.Of(checkpoint);
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.Load(checkpoint, settings.ToEmbedderOptions() with { Device = device, BadImagesAreMissing = true });

        List<string> failed = [], good = [], labels = [];
        var embeddings = new List<float[]>();
        var thumbnails = new List<RgbImage>();
        string[] paths = [.. dataset.Images.Select(image => image.Path)];
        long start = Stopwatch.GetTimestamp();
        ProgressDisplay.Run("Embedding", progress =>
        {
            foreach (SiglipImageEmbedding embedding in embedder.EmbedAsync(paths.ToAsyncEnumerable(), cancellationToken).ToBlockingEnumerable(cancellationToken))
            {
                LabeledImage image = dataset.Images[(int)embedding.Index];
                if (embedding.Error is { } error)
                {
                    failed.Add(error.Message);
                    continue;
                }

                good.Add(image.Path);
                embeddings.Add(embedding.Values);
                labels.Add(dataset.Labels[image.Label]);
                if (paths.Length <= MostThumbnails)
                    thumbnails.Add(SiglipEmbeddingMap.ToThumbnail(RgbImage.Load(image.Path, settings.ApplyExifOrientation)));
                progress.Report(ProgressState.OfImages(embedding.Index + 1, paths.Length, Stopwatch.GetElapsedTime(start)));
            }

            return 0;
        });
        if (embeddings.Count == 0)
            throw new InvalidDataException($"None of the {paths.Length} images in '{folder}' could be read. {failed[0]}");

        TimeSpan elapsed = Stopwatch.GetElapsedTime(start);
        var map = new SiglipEmbeddingMap(embeddings, labels);
        cancellationToken.ThrowIfCancellationRequested();
        IReadOnlyList<string> files = map.SaveReport(output, thumbnails.Count > 0 ? thumbnails : null);
        ThrowIfCancelledAfterwards(output, cancellationToken);
        if (json)
            Results.WriteJson(ToJson(map, good, labels, model, files));
        else
            Console.WriteLine($"A map of {embeddings.Count} images of {map.Classes.Count} classes is in {output}; the page with it is {files[0]}");
        int exitCode = CommandLineRunner.ReportFailed(failed, paths.Length);
        CommandLineRunner.Summarize(paths.Length, failed.Count, paths.Length / elapsed.TotalSeconds, $"the map is in {output}");
        return exitCode;
    }

    private static JsonObject ToJson(
        SiglipEmbeddingMap map, List<string> paths, List<string> labels, string model, IEnumerable<string> files) => new()
        {
            ["model"] = model,
            ["explainedVariance"] = map.ExplainedVariance,
            ["images"] = new JsonArray([.. paths.Select((path, i) => new JsonObject
            {
                ["image"] = path,
                ["label"] = labels[i],
                ["x"] = map.Points[i].X,
                ["y"] = map.Points[i].Y,
            })]),
            ["files"] = new JsonArray([.. files.Select(file => (JsonNode)file)]),
        };

    private static (int Row, int Column)? ParsePatch(string? text) =>
        text?.Split(',') is [var first, var second]
        && int.TryParse(first, NumberStyles.None, CultureInfo.InvariantCulture, out int row)
        && int.TryParse(second, NumberStyles.None, CultureInfo.InvariantCulture, out int column)
            ? (row, column)
            : null;
}
