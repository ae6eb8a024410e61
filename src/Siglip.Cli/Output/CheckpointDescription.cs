using System.Text.Json.Nodes;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary>What a checkpoint holds and what is wrong with it, as rows of a table and as JSON.</summary>
internal sealed class CheckpointDescription
{
    private readonly SiglipCheckpoint _checkpoint;
    private readonly IReadOnlyList<string>? _labels;
    private readonly TensorFaults[] _faults;
    private readonly string[] _unused;

    private CheckpointDescription(SiglipCheckpoint checkpoint)
    {
        _checkpoint = checkpoint;
        _unused = [.. checkpoint.UnusedTensors];
        try
        {
            _labels = checkpoint.Labels;
            _faults = [checkpoint.Faults, checkpoint.CompareClassifierTensors()];
        }
        catch (InvalidDataException e) // the labels: the rest is worth showing
        {
            _faults = [checkpoint.Faults];
            Fault = e;
        }

        try
        {
            foreach (TensorFaults faults in _faults)
                faults.ThrowIfAny($"'{checkpoint.Source}'");
        }
        catch (InvalidDataException e)
        {
            Fault = e;
        }
    }

    /// <summary>The error that opening the checkpoint and loading all of it gives; null if all is well.</summary>
    public InvalidDataException? Fault { get; }

    public static CheckpointDescription Of(SiglipCheckpoint checkpoint) => new(checkpoint);

    public IEnumerable<string[]> ToRows()
    {
        SiglipVisionConfigBase config = _checkpoint.Config;
        string[] sameAs = [.. SiglipVariants.WithArchitecture(config)];
        return
        [
            ["source", _checkpoint.Source],
            .. _checkpoint.Snapshot is { } snapshot ? [["folder", snapshot.Folder]] : (string[][])[],
            ["kind", KindInWords],
            ["architecture", $"{Architecture}, {ModelDescription.Resolution(config)}"],
            .. Listed("", sameAs.Select(id => $"as {id}")),
            .. ModelDescription.Sizes(config),
            ["parameters", ModelDescription.Invariant($"{ExpectedTensors.ParameterCount(config):N0} in the vision tower, {StoredParameters:N0} in all of the file")],
            ["stored as", string.Join(", ", Dtypes.Select(dtype => $"{dtype.Name} ({Count(dtype.Count, "tensor")})"))],
            .. Listed(Files.Length == 1 ? "file" : $"{Files.Length} files", Files.Select(file => $"{file.Name}, {Size(file.Length)}")),
            ["preprocessing", ModelDescription.Preprocessing(_checkpoint.ProcessorConfig)],
            .. ModelDescription.Misfit(config, _checkpoint.ProcessorConfig) is { } misfit ? [["", misfit]] : (string[][])[],
            ["embeddings", ModelDescription.Embeddings(config, _checkpoint.ProcessorConfig)],
            ["labels", _labels is not null ? string.Join(", ", _labels) : HasClassifier ? "not readable" : "none"],
            .. Listed("missing", Shortened([.. Missing])),
            .. Listed("unexpected", Shortened([.. Unexpected])),
            .. Listed("wrong shape or type", Shortened([.. Misfits.Select(misfit => $"{misfit}")])),
            ["not used", UnusedInWords],
            ["weights' SHA-256", _checkpoint.ComputeSha256()],
        ];
    }

    public JsonObject ToJson()
    {
        JsonObject json = ModelDescription.ToJson(_checkpoint.Config, _checkpoint.ProcessorConfig);
        json.Insert(0, "source", _checkpoint.Source);
        json.Insert(1, "kind", Kind);
        json.Insert(2, "architecture", Architecture);
        json.Insert(3, "same_architecture", Texts(SiglipVariants.WithArchitecture(_checkpoint.Config)));
        json["parameters_in_file"] = StoredParameters;
        json["dtypes"] = new JsonObject(Dtypes.Select(dtype => KeyValuePair.Create(dtype.Name, (JsonNode?)dtype.Count)));
        json["files"] = new JsonArray([.. Files.Select(file => new JsonObject { ["name"] = file.Name, ["bytes"] = file.Length })]);
        json["labels"] = _labels is null ? null : Texts(_labels);
        json["missing"] = Texts(Missing);
        json["unexpected"] = Texts(Unexpected);
        json["misshapen"] = new JsonArray([.. Misfits.Select(misfit => new JsonObject
        {
            ["name"] = misfit.Name,
            ["dtype"] = SafetensorsDtype.Name(misfit.Stored.Dtype),
            ["shape"] = Numbers(misfit.Stored.Shape),
            ["expected_shape"] = Numbers(misfit.ExpectedShape),
        })]);
        json["not_used"] = _unused.Length;
        json["sha256"] = _checkpoint.ComputeSha256();
        json["folder"] = _checkpoint.Snapshot?.Folder;
        json["error"] = Fault?.Message;
        return json;
    }

    private IEnumerable<string> Missing => _faults.SelectMany(faults => faults.Missing);

    private IEnumerable<string> Unexpected => _faults.SelectMany(faults => faults.Unexpected);

    private IEnumerable<MisfitTensor> Misfits => _faults.SelectMany(faults => faults.Misfits);

    private (string Name, long Length)[] Files => [.. _checkpoint.WeightFiles];

    private bool HasClassifier => _checkpoint.Tensors.ContainsKey("classifier.weight");

    private string Kind => HasClassifier ? "image_classification" : TextTensors > 0 ? "full_model" : "vision_model";

    private string KindInWords => Kind switch
    {
        "image_classification" => "image classification model",
        "full_model" => "full SigLIP model with a text tower, which is not used",
        _ => "vision model",
    };

    private string Architecture => Kind switch
    {
        "image_classification" => _checkpoint.Config.Architecture.Replace("VisionModel", "ForImageClassification", StringComparison.Ordinal),
        "full_model" => _checkpoint.Config.Architecture.Replace("VisionModel", "Model", StringComparison.Ordinal),
        _ => _checkpoint.Config.Architecture,
    };

    private int TextTensors => _unused.Count(name => name.StartsWith("text_model.", StringComparison.Ordinal));

    private long StoredParameters => _checkpoint.Tensors.Values.Sum(tensor => tensor.Shape.Aggregate(1L, (product, size) => product * size));

    // Of what is used, most frequent first.
    private IEnumerable<(string Name, int Count)> Dtypes => _checkpoint.Tensors.ExceptBy(_unused, pair => pair.Key)
        .CountBy(pair => SafetensorsDtype.Name(pair.Value.Dtype)).OrderByDescending(pair => pair.Value).Select(pair => (pair.Key, pair.Value));

    private string UnusedInWords
    {
        get
        {
            if (_unused.Length == 0)
                return "none";
            string[] others = [.. _unused.Where(name => !name.StartsWith("text_model.", StringComparison.Ordinal))];
            return TextTensors == 0 ? string.Join(", ", Shortened(others))
                : $"{Count(TextTensors, "tensor")} of the text tower" + string.Concat(others.Select(name => $", {name}"));
        }
    }

    private static IEnumerable<string[]> Listed(string heading, IEnumerable<string> lines) => lines.Select((line, i) => (string[])[i == 0 ? heading : "", line]);

    // Of many, the first ten and a count; of none, the word.
    private static string[] Shortened(string[] items) =>
        items.Length == 0 ? ["none"]
        : items.Length <= TensorFaults.MaxListed ? items
        : [.. items.Take(TensorFaults.MaxListed), $"and {items.Length - TensorFaults.MaxListed} more"];

    private static string Count(int count, string thing) => ModelDescription.Invariant($"{count:N0} {thing}{(count == 1 ? "" : "s")}");

    public static string Size(long bytes) => bytes switch
    {
        >= 1_000_000_000 => ModelDescription.Invariant($"{bytes / 1e9:N2} GB"),
        >= 1_000_000 => ModelDescription.Invariant($"{bytes / 1e6:N1} MB"),
        _ => ModelDescription.Invariant($"{bytes:N0} bytes"),
    };

    private static JsonArray Texts(IEnumerable<string> texts) => new([.. texts.Select(text => JsonValue.Create(text))]);

    private static JsonArray Numbers(IEnumerable<long> numbers) => new([.. numbers.Select(number => JsonValue.Create(number))]);
}
