using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary><c>siglip predict</c>: the label and the probabilities of images.</summary>
internal static class PredictVerb
{
    private const int Shown = 3;

    public static Command Create()
    {
        var model = new Argument<string>("MODEL") { Description = "A model written by siglip train, or a checkpoint with a classifier: a folder, the id of a model of the Hugging Face hub, or nano." };
        var images = new Argument<string[]>("IMAGE") { Description = "Image files, folders, or @list.txt.", Arity = ArgumentArity.OneOrMore };
        Option<string> device = CommonOptions.Device();
        var checkpoint = new CheckpointOptions();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("predict", "Classify images with a trained model.")
        {
            model, images, checkpoint.Revision, device, checkpoint.Precision, checkpoint.ImageBackend, checkpoint.ImageSize, checkpoint.InterpolatePositionEncoding, checkpoint.ApplyExifOrientation, json,
        };
        GroupedHelp.Add(command, [],
            "# the bundled classifier knows CIFAR-10's ten classes", "siglip predict nano cat.jpg",
            "# a model that siglip train or siglip finetune wrote", "siglip predict model.zip photos",
            "# for another program", "siglip predict model.zip @list.txt --json");
        command.SetAction((parsed, cancellationToken) =>
            Task.FromResult(Run(parsed.GetRequiredValue(model), parsed.GetRequiredValue(images), parsed.GetRequiredValue(device), checkpoint.Read(parsed),
                parsed.GetValue(json), cancellationToken)));
        return command;
    }

    private static int Run(string modelPath, string[] inputs, string device, CheckpointSettings settings, bool json, CancellationToken cancellationToken)
    {
        using IImageClassifier classifier = ImageClassifier.Load(modelPath, device, settings, cancellationToken);
        IReadOnlyList<string> files = ImageInputs.Expand(inputs);
        long start = Stopwatch.GetTimestamp();
        var failed = new List<string>();
        var rows = new List<string[]>();
        var results = new JsonArray();
        foreach ((string path, (string? label, float[] probabilities, string? fault)) in files.Zip(classifier.Classify(files)))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (label is null)
            {
                failed.Add(fault!);
                continue;
            }

            if (json)
            {
                results.Add(new JsonObject
                {
                    ["image"] = path,
                    ["label"] = label,
                    ["probabilities"] = new JsonObject(classifier.Labels.Select((name, i) => KeyValuePair.Create(name, (JsonNode?)probabilities[i]))),
                });
                continue;
            }

            IEnumerable<string> best = classifier.Labels.Zip(probabilities).OrderByDescending(pair => pair.Second).Take(Shown)
                .Select(pair => string.Create(CultureInfo.InvariantCulture, $"{pair.First} {pair.Second:P1}"));
            rows.Add([path, label, string.Join(", ", best)]);
        }

        TimeSpan elapsed = Stopwatch.GetElapsedTime(start);
        if (json)
            Results.WriteJson(results);
        else if (rows.Count > 0)
            Results.WriteTable(["image", "label", "probabilities"], rows);
        int exitCode = CommandLineRunner.ReportFailed(failed, files.Count);
        CommandLineRunner.Summarize(files.Count, failed.Count, files.Count / elapsed.TotalSeconds, result: null);
        return exitCode;
    }
}
