using System.Globalization;
using System.Text.Json.Nodes;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary>An architecture and its preprocessing, in words and as JSON.</summary>
internal static class ModelDescription
{
    public static string Resolution(SiglipVisionConfigBase config) => config is Siglip2VisionConfig ? "variable resolution (NaFlex)" : "fixed resolution";

    public static IEnumerable<string[]> Sizes(SiglipVisionConfigBase config) =>
    [
        ["image", config is SiglipVisionConfig { ImageSize: var size } ? $"{size} x {size} pixels, {config.NumChannels} channels" : $"any size, {config.NumChannels} channels"],
        ["patches", $"{config.PatchSize} x {config.PatchSize} pixels, {config.NumPositions} position embeddings"],
        ["hidden size", $"{config.HiddenSize}, MLP {config.IntermediateSize}"],
        ["layers", $"{config.NumHiddenLayers}, {config.NumAttentionHeads} heads"],
        ["activation", Invariant($"{config.HiddenAct}, layer_norm_eps {config.LayerNormEps:g}")],
        ["pooling head", config.VisionUseHead ? "yes" : "no"],
    ];

    public static string Preprocessing(SiglipImageProcessorConfigBase config)
    {
        string resize = (config, config.DoResize) switch
        {
            (_, false) => "no resizing",
            (SiglipImageProcessorConfig { Height: var height, Width: var width }, _) => $"{Filter(config)} resizing to {height} x {width} pixels",
            (Siglip2ImageProcessorConfig { MaxNumPatches: var patches, PatchSize: var size }, _) => $"{Filter(config)} resizing to at most {patches} patches of {size} x {size} pixels",
            _ => throw new NotSupportedException($"{config.GetType()}"),
        };
        string scale = !config.DoRescale ? "grey levels as they are"
            : config.RescaleFactor == 1 / 255.0 ? "grey levels / 255"
            : Invariant($"grey levels x {config.RescaleFactor:g6}");
        return config.DoNormalize ? $"{resize}, {scale}, mean {Channels(config.ImageMean)}, std {Channels(config.ImageStd)}" : $"{resize}, {scale}";
    }

    /// <summary>What of the preprocessing is not as the model expects; null if all of it is.</summary>
    public static string? Misfit(SiglipVisionConfigBase config, SiglipImageProcessorConfigBase processor) => (config, processor) switch
    {
        (SiglipVisionConfig { ImageSize: var size }, SiglipImageProcessorConfig image) when image.Height != size || image.Width != size =>
            $"which are not the model's {size} x {size} pixels",
        (_, Siglip2ImageProcessorConfig image) when image.PatchSize != config.PatchSize => $"which are not the model's patches of {config.PatchSize} x {config.PatchSize} pixels",
        _ => null,
    };

    /// <summary>The sizes of the embeddings of one image, as the embedder and the estimator give them.</summary>
    public static string Embeddings(SiglipVisionConfigBase config, SiglipImageProcessorConfigBase processor) =>
        string.Join(", ", Shapes(config, processor).Select(shape => $"{shape.Name} [{string.Join(", ", shape.Sizes)}]"))
        + (config is Siglip2VisionConfig ? " at most" : "");

    public static JsonObject ToJson(SiglipVisionConfigBase config, SiglipImageProcessorConfigBase processor) => new()
    {
        ["variable_resolution"] = config is Siglip2VisionConfig,
        ["config"] = JsonNode.Parse(config.ToJson()),
        ["preprocessor_config"] = JsonNode.Parse(processor.ToJson()),
        ["patches"] = config.NumPositions,
        ["parameters"] = ExpectedTensors.ParameterCount(config),
        ["embeddings"] = new JsonObject(Shapes(config, processor).Select(shape =>
            KeyValuePair.Create(shape.Name, (JsonNode?)new JsonArray([.. shape.Sizes.Select(size => JsonValue.Create(size))])))),
    };

    /// <summary>A number of parameters, such as 92.9 M or 1.16 B.</summary>
    public static string Rounded(long parameters) => parameters < 1_000_000_000 ? Invariant($"{parameters / 1e6:N1} M") : Invariant($"{parameters / 1e9:N2} B");

    public static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static IEnumerable<(string Name, int[] Sizes)> Shapes(SiglipVisionConfigBase config, SiglipImageProcessorConfigBase processor)
    {
        if (config.VisionUseHead)
            yield return ("pooled", [config.HiddenSize]);
        yield return ("mean", [config.HiddenSize]);
        yield return ("patches", [processor is Siglip2ImageProcessorConfig naFlex ? naFlex.MaxNumPatches : config.NumPositions, config.HiddenSize]);
    }

    private static string Filter(SiglipImageProcessorConfigBase config) => config.Resample.ToString().ToLowerInvariant();

    private static string Channels(IReadOnlyList<float> values) =>
        values.Distinct().Count() == 1 ? Invariant($"{values[0]}") : $"[{string.Join(", ", values.Select(value => Invariant($"{value}")))}]";
}
