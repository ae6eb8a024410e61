using System.Text.Json;

namespace Siglip.Core;

/// <summary>Mix-ups that explain at once why weights do not fit, and are clearer than a list of tensors.</summary>
internal static class FaultCause
{
    private const string PatchEmbedding = "embeddings.patch_embedding.weight";

    /// <returns>One sentence; null if none of them is the cause.</returns>
    public static string? Find(SiglipVisionConfigBase config, IReadOnlyDictionary<string, SafetensorsEntry> tensors, string prefix, string configJson) =>
        NoVisionTower(tensors) ?? OtherPrefix(tensors, prefix) ?? OtherKind(config, tensors, prefix) ?? Quantized(configJson);

    private static string? NoVisionTower(IReadOnlyDictionary<string, SafetensorsEntry> tensors) =>
        tensors.Keys.FirstOrDefault(name => name.EndsWith("embeddings.token_embedding.weight", StringComparison.Ordinal)) is { } text
        && !tensors.Keys.Any(name => name.EndsWith(PatchEmbedding, StringComparison.Ordinal))
            ? $"the weights are a text tower ('{text}') without a vision tower; use a checkpoint of the whole model or of its vision tower."
            : null;

    // transformers, too, leaves a vision model's own names alone: with another prefix it would keep random weights.
    private static string? OtherPrefix(IReadOnlyDictionary<string, SafetensorsEntry> tensors, string prefix) =>
        !tensors.ContainsKey(prefix + PatchEmbedding)
        && tensors.Keys.FirstOrDefault(name => name.EndsWith("." + PatchEmbedding, StringComparison.Ordinal)) is { } other
            ? $"the vision tower's tensors are named '{other[..^PatchEmbedding.Length]}…', expected '{ExpectedTensors.Prefix}…' or no prefix, so this is a "
                + "part of a larger model; save its vision tower by itself with save_pretrained."
            : null;

    private static string? OtherKind(SiglipVisionConfigBase config, IReadOnlyDictionary<string, SafetensorsEntry> tensors, string prefix)
    {
        if (!tensors.TryGetValue(prefix + PatchEmbedding, out SafetensorsEntry? patches) || patches.Shape.Count == config.PatchEmbeddingShape.Length)
            return null;
        string shape = $"'{prefix}{PatchEmbedding}' has shape [{string.Join(", ", patches.Shape)}]";
        return (config, patches.Shape.Count) switch
        {
            (SiglipVisionConfig, 2) => $"the weights are those of a model with variable resolution (NaFlex), because {shape}, but config.json describes one "
                + "with fixed resolution; use the config.json that belongs to them, whose model_type is siglip2 or siglip2_vision_model.",
            (Siglip2VisionConfig, 4) => $"the weights are those of a model with fixed resolution, because {shape}, but config.json describes one with variable "
                + "resolution (NaFlex); use the config.json that belongs to them, whose model_type is siglip or siglip_vision_model.",
            _ => null,
        };
    }

    private static string? Quantized(string configJson)
    {
        using JsonDocument document = JsonFields.Parse(configJson, "config.json");
        if (new JsonFields(document.RootElement, "config.json").Find("quantization_config") is not { ValueKind: JsonValueKind.Object } quantization)
            return null;
        string method = quantization.TryGetProperty("quant_method", out JsonElement name) && name.ValueKind == JsonValueKind.String ? $" ({name})" : "";
        return $"the weights are quantized{method}, which is not read; use the checkpoint with the original weights, in F32, F16 or BF16.";
    }
}
