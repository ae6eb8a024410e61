using System.CommandLine;
using System.Text.Json.Nodes;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary><c>siglip info</c>: what a checkpoint holds.</summary>
internal static class InfoVerb
{
    public static Command Create()
    {
        var model = new Argument<string>("MODEL") { Description = "The folder of a checkpoint, or nano." };
        Option<bool> json = CommonOptions.Json();
        var command = new Command("info", "Say what a checkpoint holds.") { model, json };
        command.SetAction(parsed => Run(parsed.GetRequiredValue(model), parsed.GetValue(json)));
        return command;
    }

    private static int Run(string model, bool json)
    {
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(model);
        SiglipVisionConfigBase config = checkpoint.Config;
        SiglipImageProcessorConfigBase processor = checkpoint.ProcessorConfig;
        long parameters = ExpectedTensors.OfVisionModel(config).Sum(tensor => tensor.Shape.Aggregate(1L, (product, size) => product * size));
        if (json)
        {
            Results.WriteJson(new JsonObject
            {
                ["source"] = checkpoint.Source,
                ["config"] = JsonNode.Parse(config.ToJson()),
                ["preprocessor_config"] = JsonNode.Parse(processor.ToJson()),
                ["patches"] = config.NumPositions,
                ["parameters"] = parameters,
                ["dtype"] = checkpoint.StoredDtype.ToString(),
                ["labels"] = checkpoint.Labels is { } names ? new JsonArray([.. names.Select(name => JsonValue.Create(name))]) : null,
                ["sha256"] = checkpoint.ComputeSha256(),
            });
            return CommandLineRunner.Success;
        }

        Results.WriteTable(["", ""],
        [
            ["source", checkpoint.Source],
            ["image", config is SiglipVisionConfig { ImageSize: var size } ? $"{size} x {size} pixels, {config.NumChannels} channels" : $"any size, {config.NumChannels} channels"],
            ["patches", $"{config.NumPositions} of {config.PatchSize} x {config.PatchSize} pixels"],
            ["hidden size", $"{config.HiddenSize} (MLP {config.IntermediateSize})"],
            ["layers", $"{config.NumHiddenLayers}, {config.NumAttentionHeads} heads"],
            ["activation", $"{config.HiddenAct}, layer_norm_eps {config.LayerNormEps}"],
            ["pooling head", config.VisionUseHead ? "yes" : "no"],
            ["parameters", $"{parameters:N0} in the vision transformer, stored as {checkpoint.StoredDtype}"],
            ["embeddings", $"patches [{config.NumPositions}, {config.HiddenSize}], mean [{config.HiddenSize}]" + (config.VisionUseHead ? $", pooled [{config.HiddenSize}]" : "")],
            ["preprocessing", $"{(processor.DoResize ? $"{processor.Resample.ToString().ToLowerInvariant()} to "
                + (processor is SiglipImageProcessorConfig { Height: var height, Width: var width } ? $"{height} x {width}" : $"at most {((Siglip2ImageProcessorConfig)processor).MaxNumPatches} patches") : "no resizing")}, "
                + $"mean [{string.Join(", ", processor.ImageMean)}], std [{string.Join(", ", processor.ImageStd)}]"],
            ["labels", checkpoint.Labels is { } labels ? string.Join(", ", labels) : "none"],
            ["weights' SHA-256", checkpoint.ComputeSha256()],
        ]);
        return CommandLineRunner.Success;
    }
}
