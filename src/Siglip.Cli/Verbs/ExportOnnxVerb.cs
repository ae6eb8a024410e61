using System.CommandLine;
using System.Text.Json.Nodes;
using Siglip.Core;
using Siglip.Core.Onnx;

namespace Siglip.Cli;

/// <summary><c>siglip export-onnx</c>: a checkpoint to a file for ONNX Runtime and others.</summary>
internal static class ExportOnnxVerb
{
    public static Command Create()
    {
        var model = new Argument<string>("MODEL") { Description = "The checkpoint: a folder with config.json, preprocessor_config.json and model.safetensors; the id of a model of the Hugging Face hub; or nano, the bundled model." };
        var output = new Option<string>("--output") { Description = $"The .onnx file. Weights of more than 2 GB are in a second file beside it, NAME.onnx{OnnxFile.DataSuffix}.", Required = true };
        var precision = new Option<string>("--precision")
        {
            Description = "float32, or int8: weights of 8 bits with a scale for each output, activations quantized as the model runs.",
            DefaultValueFactory = _ => "float32",
        };
        precision.OneOf("float32", "int8");
        var classifier = new Option<bool>("--classifier") { Description = "Export the logits of the checkpoint's classifier instead of the embeddings." };
        var externalData = new Option<bool>("--external-data") { Description = "Put the weights into the second file whatever their size." };
        var checkpoint = new CheckpointOptions();
        Option<bool> json = CommonOptions.Json();

        var command = new Command("export-onnx", "Write a checkpoint as an ONNX file.")
        {
            model, checkpoint.Revision, output, precision, classifier, externalData, checkpoint.ImageSize, checkpoint.InterpolatePositionEncoding, json,
        };
        GroupedHelp.Add(command, [],
            "# a checkpoint for ONNX Runtime", "siglip export-onnx models/siglip-base-patch16-224 --output base.onnx",
            "# a quarter of the size", "siglip export-onnx models/siglip-base-patch16-224 --precision int8 --output base-int8.onnx",
            "# the logits of a classifier", "siglip export-onnx nano --classifier --output nano.onnx");
        command.SetAction((parsed, cancellationToken) => Task.FromResult(Run(
            parsed.GetRequiredValue(model), parsed.GetRequiredValue(output), parsed.GetValue(classifier), checkpoint.Read(parsed),
            new SiglipOnnxOptions
            {
                Precision = CommonOptions.PrecisionOf(parsed.GetRequiredValue(precision))!.Value,
                ExternalData = parsed.GetValue(externalData),
            },
            parsed.GetValue(json), cancellationToken)));
        return command;
    }

    private static int Run(
        string model, string output, bool classifier, CheckpointSettings settings, SiglipOnnxOptions options, bool json, CancellationToken cancellationToken)
    {
        if (!Path.GetExtension(output).Equals(".onnx", StringComparison.OrdinalIgnoreCase))
            throw new ArgumentException($"The output '{output}' ends in '{Path.GetExtension(output)}', expected .onnx.");
        StagedFiles.CheckWritable(output);
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(NamedModel.Fetch(model, settings.Revision, cancellationToken));
        if (checkpoint.Config is SiglipVisionConfig)
            settings.CheckFit(checkpoint.Config);
        RunDetails.Of(checkpoint);
        options = options with { ImageHeight = settings.ImageSize?.Height, ImageWidth = settings.ImageSize?.Width };

        ExportedOnnx exported = Export(checkpoint, output, classifier, options, cancellationToken);
        if (json)
            Results.WriteJson(ToJson(exported, output, options));
        else if (CommandLineRunner.Verbosity != Verbosity.Quiet)
            Write(exported, output, options);
        if (exported.DataPath is null && File.Exists(output + OnnxFile.DataSuffix))
            CommandLineRunner.Note($"The file {output + OnnxFile.DataSuffix} is of an earlier export and does not belong to this one; delete it.");
        return CommandLineRunner.Success;
    }

    private static ExportedOnnx Export(SiglipCheckpoint checkpoint, string output, bool classifier, SiglipOnnxOptions options, CancellationToken cancellationToken)
    {
        if (classifier)
        {
            if (checkpoint.Config is Siglip2VisionConfig || checkpoint.Labels is null)
                throw new ArgumentException($"'{checkpoint.Source}' has no classifier that can be exported; leave out --classifier to export its embeddings.");
            using SiglipForImageClassification classification = checkpoint.LoadForImageClassification();
            return OnnxExport.Write(classification, output, options, cancellationToken);
        }

        if (checkpoint.Config is Siglip2VisionConfig)
        {
            using Siglip2VisionModel naFlex = checkpoint.LoadSiglip2VisionModel();
            return OnnxExport.Write(naFlex, output, options, cancellationToken);
        }

        using SiglipVisionModel vision = checkpoint.LoadVisionModel();
        return OnnxExport.Write(vision, output, options, cancellationToken);
    }

    private static void Write(ExportedOnnx exported, string output, SiglipOnnxOptions options)
    {
        string data = exported.DataPath is { } path ? $", weights in {path} ({Size(path)})" : "";
        Console.WriteLine($"{output}: {Name(options.Precision)}, opset {OnnxExport.OperatorSet}, {Size(output)}{data}; {Text(exported.Graph.Input)} to {Text(exported.Graph.Output)}");
    }

    private static JsonObject ToJson(ExportedOnnx exported, string output, SiglipOnnxOptions options) => new()
    {
        ["output"] = output,
        ["bytes"] = new FileInfo(output).Length,
        ["data"] = exported.DataPath,
        ["data_bytes"] = exported.DataPath is { } path ? new FileInfo(path).Length : null,
        ["precision"] = Name(options.Precision),
        ["opset"] = OnnxExport.OperatorSet,
        ["inputs"] = ToJson(exported.Graph.Input),
        ["outputs"] = ToJson(exported.Graph.Output),
    };

    private static string Name(SiglipPrecision precision) => precision.ToString().ToLowerInvariant();

    private static string Size(string path) => CheckpointDescription.Size(new FileInfo(path).Length);

    private static string Text(IEnumerable<ValueInfoProto> values) => string.Join(", ", values.Select(value => $"{value.Name} [{string.Join(", ", Dimensions(value))}]"));

    private static JsonObject ToJson(IEnumerable<ValueInfoProto> values) =>
        new(values.Select(value => KeyValuePair.Create(value.Name, (JsonNode?)new JsonArray([.. Dimensions(value)]))));

    // Numbers, and names of what is known only when the model runs.
    private static IEnumerable<JsonNode> Dimensions(ValueInfoProto value) => value.Type.TensorType.Shape.Dim.Select(dimension =>
        dimension.HasDimParam ? (JsonNode)dimension.DimParam : dimension.DimValue);
}
