using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary><c>siglip evaluate</c>: accuracy and confusion matrix of a trained model on images whose classes are known.</summary>
internal static class EvaluateVerb
{
    public static Command Create()
    {
        var model = new Argument<string>("MODEL") { Description = "A model written by siglip train, or a checkpoint with a classifier: a folder, the id of a model of the Hugging Face hub, or nano." };
        var folder = new Argument<string>("FOLDER") { Description = "The images, in one folder per class, with names that the model knows; or CIFAR-10's cifar-10-batches-bin, of which the test batch is measured." };
        Option<string> device = CommonOptions.Device();
        var checkpoint = new CheckpointOptions();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("evaluate", "Measure a trained model on images whose classes are known.")
        {
            model, folder, checkpoint.Revision, device, checkpoint.Precision, checkpoint.ImageBackend, checkpoint.ImageSize, checkpoint.InterpolatePositionEncoding, checkpoint.ApplyExifOrientation, json,
        };
        GroupedHelp.Add(command, [],
            "# a model that siglip train wrote", "siglip evaluate model.zip photos",
            "# the bundled classifier, as JSON", "siglip evaluate nano photos --json");
        command.SetAction((parsed, cancellationToken) =>
            Task.FromResult(Run(parsed.GetRequiredValue(model), parsed.GetRequiredValue(folder), parsed.GetRequiredValue(device), checkpoint.Read(parsed),
                parsed.GetValue(json), cancellationToken)));
        return command;
    }

    private static int Run(string modelPath, string folder, string device, CheckpointSettings settings, bool json, CancellationToken cancellationToken)
    {
        using IImageClassifier classifier = ImageClassifier.Load(modelPath, device, settings, cancellationToken);
        ILabeledImages images = ImageInputs.OpenToMeasure(folder);
        string[] unknown = [.. images.Labels.Except(classifier.Labels)];
        if (unknown.Length > 0)
            throw new InvalidDataException($"The model does not know the classes {string.Join(", ", unknown)}; it knows {string.Join(", ", classifier.Labels)}. "
                + "Name the class folders as in training.");

        long start = Stopwatch.GetTimestamp();
        var failed = new List<string>();
        int[][] confusion = [.. classifier.Labels.Select(_ => new int[classifier.Labels.Count])];
        Dictionary<string, int> index = classifier.Labels.Select((label, i) => (label, i)).ToDictionary(pair => pair.label, pair => pair.i);
        foreach ((int image, (string? label, _, string? fault)) in Classify(classifier, modelPath, images).Index())
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (label is null)
                failed.Add(fault!);
            else
                confusion[index[images.Labels[images.LabelOf(image)]]][index[label]]++;
        }

        TimeSpan elapsed = Stopwatch.GetElapsedTime(start);
        var evaluation = new SiglipEvaluation(classifier.Labels, confusion, double.NaN);
        Write(evaluation, json);
        int exitCode = CommandLineRunner.ReportFailed(failed, images.Count);
        CommandLineRunner.Summarize(images.Count, failed.Count, images.Count / elapsed.TotalSeconds, result: null);
        return exitCode;
    }

    private static IEnumerable<(string? Label, float[] Probabilities, string? Fault)> Classify(IImageClassifier classifier, string modelPath, ILabeledImages images) =>
        images is ImageFolderDataset folders ? classifier.Classify([.. folders.Images.Select(image => image.Path)])
            : classifier is CheckpointClassifier checkpoint ? checkpoint.Classify(images)
            : throw new InvalidDataException($"'{modelPath}' is a saved ML.NET model, which reads image files, not CIFAR-10's batches; measure it with folders of "
                + "images, or name a checkpoint.");

    private static void Write(SiglipEvaluation evaluation, bool json)
    {
        if (json)
        {
            Results.WriteJson(new JsonObject
            {
                ["images"] = evaluation.Count,
                ["accuracy"] = evaluation.Accuracy,
                ["accuracyByClass"] = new JsonObject(evaluation.Labels.Select((label, i) =>
                    KeyValuePair.Create(label, double.IsNaN(evaluation.AccuracyOf(i)) ? null : (JsonNode?)evaluation.AccuracyOf(i)))),
                ["labels"] = new JsonArray([.. evaluation.Labels.Select(label => JsonValue.Create(label))]),
                ["confusion"] = new JsonArray([.. evaluation.Confusion.Select(row => new JsonArray([.. row.Select(count => JsonValue.Create(count))]))]),
            });
            return;
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"Accuracy on {evaluation.Count:N0} images: {evaluation.Accuracy:P1}"));
        Console.WriteLine();
        ConfusionMatrix.WriteTable(evaluation);
    }
}
