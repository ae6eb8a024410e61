using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The file from which a training goes on: the tensors of <see cref="TrainingStep.State"/>, and in the header what they belong to.</summary>
/// <remarks>Neither a random state nor the images' order is in it: both follow from the seed, the epoch and the step. Nor are weights that are not trained: a
/// hash says which they were.</remarks>
internal sealed class TrainingState(SiglipForImageClassification model, TrainingStep step, SiglipTrainingOptions options, ITrainingSource training, int? validationImages)
{
    private const string MetadataName = "siglip_training_state";
    private const int Version = 1;

    private readonly Lazy<string?> _frozenSha256 = new(step.ComputeFrozenSha256); // of all the weights that stay as they are, so once is enough

    /// <exception cref="IOException">The file cannot be written; the one that was there stays.</exception>
    public void Save(string path, TrainingPosition position)
    {
        JsonObject json = WhatItBelongsTo();
        json["version"] = Version;
        json["step"] = step.Done;
        json["epoch"] = position.Epoch;
        json["batch"] = position.Batch;
        json["images"] = position.Images;
        json["loss_sum"] = position.LossSum;
        json["right"] = position.Right;
        if (step.Best is { Epoch: > 0 } best)
            (json["best_epoch"], json["best_loss"]) = (best.Epoch, best.Loss);
        using DisposeScope scope = NewDisposeScope();
        SafetensorsFile.Write(path, step.State(), new Dictionary<string, string> { [MetadataName] = json.ToJsonString() });
        step.Saved = step.Done;
    }

    /// <returns>Where to go on.</returns>
    /// <exception cref="InvalidDataException">The file is damaged, or none of a training.</exception>
    /// <exception cref="ArgumentException">It is of a training with another model, other images or options.</exception>
    public TrainingPosition Load(string path, int steps)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        (string text, string source) = HeaderOf(file);
        using JsonDocument document = JsonFields.Parse(text, source, duplicates: false);
        var fields = new JsonFields(document.RootElement, source);
        if (fields.Int32("version", 0) is var version && version != Version)
            throw new InvalidDataException($"{source}: the version is {version}, expected {Version}; the file is of another version of this library, or damaged.");
        CheckBelongs(JsonNode.Parse(text)!.AsObject(), file.Source);

        int done = Within(fields, "step", 0, steps, source);
        var position = new TrainingPosition(
            Within(fields, "epoch", 1, options.Epochs + 1L, source),
            Within(fields, "batch", 0, training.Count, source),
            Within(fields, "images", 0, training.Count, source),
            fields.Double("loss_sum", 0),
            Within(fields, "right", 0, training.Count, source));
        int bestEpoch = fields.Find("best_epoch") is null ? 0 : Within(fields, "best_epoch", 1, position.Epoch, source);
        step.Restore(file, done);
        step.Best?.Restore(bestEpoch, fields.Double("best_loss", double.PositiveInfinity));
        return position;
    }

    /// <summary>How far the training of a state file is; its tensors are not read.</summary>
    /// <exception cref="InvalidDataException">The file is damaged, or none of a training.</exception>
    public static (int Step, int Epoch) PositionIn(string path)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        (string text, string source) = HeaderOf(file);
        using JsonDocument document = JsonFields.Parse(text, source);
        var fields = new JsonFields(document.RootElement, source);
        return (Within(fields, "step", 0, int.MaxValue, source), Within(fields, "epoch", 1, int.MaxValue, source));
    }

    private static (string Text, string Source) HeaderOf(SafetensorsFile file) => file.Metadata.TryGetValue(MetadataName, out string? text)
        ? (text, $"{file.Source}, header '{MetadataName}'")
        : throw new InvalidDataException($"{file.Source} holds tensors, but not the state of a training; name the file that a training wrote as its StatePath.");

    // With the validation images only if they decide about the weights.
    private JsonObject WhatItBelongsTo() => new()
    {
        ["model"] = model.Config.ToJsonObject(),
        ["labels"] = new JsonArray([.. model.Labels.Select(label => (JsonNode?)label)]),
        ["image count"] = training.Count,
        ["validation image count"] = options.EarlyStoppingPatience is null ? null : validationImages,
        ["options"] = options.ToJsonOfWhatDecides(),
        ["hash of the weights that are not trained"] = _frozenSha256.Value,
    };

    private void CheckBelongs(JsonObject stored, string source)
    {
        JsonObject expected = JsonNode.Parse(WhatItBelongsTo().ToJsonString())!.AsObject(); // numbers compare by their text
        foreach ((string name, JsonNode? now) in expected)
        {
            JsonNode? then = stored[name];
            if (JsonNode.DeepEquals(then, now))
                continue;
            (string field, JsonNode? fieldThen, JsonNode? fieldNow) = FirstDifference(name, then, now);
            throw new ArgumentException($"{source} is of a training whose {field} was {Text(fieldThen)}; now it is {Text(fieldNow)}. Resume it as it was started, or start "
                + "anew without Resume.");
        }
    }

    // The innermost field.
    private static (string Name, JsonNode? Then, JsonNode? Now) FirstDifference(string name, JsonNode? then, JsonNode? now)
    {
        if (then is not JsonObject fieldsThen || now is not JsonObject fieldsNow)
            return (name, then, now);
        string field = fieldsNow.Select(pair => pair.Key).Union(fieldsThen.Select(pair => pair.Key)).First(key => !JsonNode.DeepEquals(fieldsThen[key], fieldsNow[key]));
        return FirstDifference(field, fieldsThen[field], fieldsNow[field]);
    }

    private static string Text(JsonNode? node)
    {
        string text = node?.ToJsonString() ?? "not set";
        return text.Length > 200 ? text[..200] + "…" : text;
    }

    private static int Within(JsonFields fields, string name, long from, long to, string source)
    {
        int value = fields.Int32(name, -1);
        return value >= from && value <= to
            ? value
            : throw new InvalidDataException(string.Create(CultureInfo.InvariantCulture, $"{source}: '{name}' is {value}, expected {from} to {to}; the file is damaged."));
    }
}
