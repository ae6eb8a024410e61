using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Siglip.Core;

/// <summary>The sizes that all SigLIP vision transformers have, as in <c>config.json</c>: <see cref="SiglipVisionConfig"/> adds those of models with
/// fixed resolution, <see cref="Siglip2VisionConfig"/> those of models with variable resolution (NaFlex).</summary>
/// <remarks>Defaults are those of the base size. Source: transformers, configuration_siglip.py and configuration_siglip2.py.</remarks>
public abstract record SiglipVisionConfigBase
{
    // Sizes above these are no vision transformer but a damaged or hostile file.
    private protected const int MaxSize = 65_536;
    private protected const int MaxGridSide = 1024;
    private const int MaxLayers = 1_000;

    private protected SiglipVisionConfigBase()
    {
    }

    /// <summary>Length of each patch's embedding (<c>hidden_size</c>). A multiple of <see cref="NumAttentionHeads"/>; the default is 768.</summary>
    public int HiddenSize { get; init; } = 768;

    /// <summary>Width of the hidden layer of each MLP (<c>intermediate_size</c>). At least 1; the default is 3072.</summary>
    public int IntermediateSize { get; init; } = 3072;

    /// <summary>Number of encoder layers (<c>num_hidden_layers</c>). At least 0; the default is 12.</summary>
    public int NumHiddenLayers { get; init; } = 12;

    /// <summary>Number of attention heads in each layer and in the pooling head (<c>num_attention_heads</c>). At least 1; the default is 12.</summary>
    public int NumAttentionHeads { get; init; } = 12;

    /// <summary>Number of image channels (<c>num_channels</c>). At least 1; the default is 3.</summary>
    public int NumChannels { get; init; } = 3;

    /// <summary>Height and width of a patch in pixels (<c>patch_size</c>). At least 1; the default is 16.</summary>
    public int PatchSize { get; init; } = 16;

    /// <summary>
    /// Activation of the MLPs (<c>hidden_act</c>): gelu_pytorch_tanh, gelu, gelu_new, quick_gelu, relu or silu. The default is gelu_pytorch_tanh.
    /// </summary>
    public string HiddenAct { get; init; } = "gelu_pytorch_tanh";

    /// <summary>Added to the variance in every layer norm (<c>layer_norm_eps</c>). Above 0; the default is 1e-6.</summary>
    public double LayerNormEps { get; init; } = 1e-6;

    /// <summary>Share of attention weights dropped in training (<c>attention_dropout</c>). At least 0 and below 1; the default is 0.</summary>
    public double AttentionDropout { get; init; }

    /// <summary>Whether the model has the pooling head (<c>vision_use_head</c>). The default is true.</summary>
    public bool VisionUseHead { get; init; } = true;

    /// <summary>Reads a <c>config.json</c>: of the vision model itself, or of a full SigLIP or image-classification model, whose
    /// <c>vision_config</c> is used.</summary>
    /// <param name="json">The text of the file.</param>
    /// <param name="source">What error messages call it, such as the file's path.</param>
    /// <returns>A validated <see cref="SiglipVisionConfig"/>, or a <see cref="Siglip2VisionConfig"/> if <c>model_type</c> says so; fields left out have
    /// the defaults of transformers, unknown fields are ignored.</returns>
    /// <exception cref="InvalidDataException">The text is not JSON, a field has the wrong type or an impossible value, or the file
    /// describes another kind of model.</exception>
    public static SiglipVisionConfigBase FromJson(string json, string source = "config.json")
    {
        ArgumentNullException.ThrowIfNull(json);
        using JsonDocument document = JsonFields.Parse(json, source);
        var root = new JsonFields(document.RootElement, source);
        string? modelType = CheckModelType(root, source);

        JsonFields fields = root;
        if (root.Find("vision_config") is { } vision)
        {
            if (vision.ValueKind != JsonValueKind.Object)
                throw new InvalidDataException($"{source}: 'vision_config' is no object, expected one with the sizes of the vision transformer.");
            fields = new JsonFields(vision, $"{source}, vision_config");
            modelType = CheckModelType(fields, source) ?? modelType;
        }
        else if (modelType is "siglip" or "siglip2" && root.Find("hidden_size") is null)
        {
            fields = new JsonFields(default, source); // a full model with nothing stated: every default
        }

        SiglipVisionConfigBase config = modelType is "siglip2" or Siglip2VisionConfig.ModelTypeName
            ? new Siglip2VisionConfig(fields)
            : new SiglipVisionConfig(fields);
        return config.Fault is { } fault ? throw new InvalidDataException($"{source}: {fault}") : config;
    }

    /// <summary>Writes the <c>config.json</c> of a vision model.</summary>
    public string ToJson() => ToJsonObject().ToJsonString(SiglipImageProcessorConfigBase.Indented);

    /// <summary>Checks that the sizes fit together.</summary>
    /// <exception cref="ArgumentException">A size is out of range, the heads do not divide the hidden size, or the activation is unknown.</exception>
    public void Validate()
    {
        if (Fault is { } fault)
            throw new ArgumentException(fault);
    }

    /// <summary>Takes the sizes of a JSON object.</summary>
    private protected SiglipVisionConfigBase(JsonFields fields)
    {
        HiddenSize = fields.Int32("hidden_size", HiddenSize);
        IntermediateSize = fields.Int32("intermediate_size", IntermediateSize);
        NumHiddenLayers = fields.Int32("num_hidden_layers", NumHiddenLayers);
        NumAttentionHeads = fields.Int32("num_attention_heads", NumAttentionHeads);
        NumChannels = fields.Int32("num_channels", NumChannels);
        PatchSize = fields.Int32("patch_size", PatchSize);
        HiddenAct = fields.String("hidden_act", HiddenAct)!;
        LayerNormEps = fields.Double("layer_norm_eps", LayerNormEps);
        AttentionDropout = fields.Double("attention_dropout", AttentionDropout);
        VisionUseHead = fields.Boolean("vision_use_head", VisionUseHead);
    }

    /// <summary>The classes' name in transformers, such as SiglipVisionModel.</summary>
    internal abstract string Architecture { get; }

    /// <summary>Number of position embeddings, a square.</summary>
    internal abstract int NumPositions { get; }

    /// <summary>What a patch's pixels are in the weights of the patch embedding: [hidden, …].</summary>
    internal abstract long[] PatchEmbeddingShape { get; }

    /// <summary>What is wrong with the sizes; null if nothing is.</summary>
    internal string? Fault =>
        RangeFault("hidden_size", HiddenSize, 1, MaxSize) ?? RangeFault("intermediate_size", IntermediateSize, 1, MaxSize)
        ?? RangeFault("num_hidden_layers", NumHiddenLayers, 0, MaxLayers) ?? RangeFault("num_attention_heads", NumAttentionHeads, 1, MaxSize)
        ?? RangeFault("num_channels", NumChannels, 1, 64) ?? RangeFault("patch_size", PatchSize, 1, 1024)
        ?? GridFault
        ?? (HiddenSize % NumAttentionHeads != 0
            ? $"num_attention_heads is {NumAttentionHeads}, which does not divide hidden_size {HiddenSize}; choose one that does."
            : null)
        ?? (!Activation.Names.Contains(HiddenAct)
            ? $"hidden_act is '{HiddenAct}', expected one of {string.Join(", ", Activation.Names)}."
            : null)
        ?? (LayerNormEps is > 0 and < 1 ? null : string.Create(CultureInfo.InvariantCulture, $"layer_norm_eps is {LayerNormEps}, expected a number above 0 and below 1."))
        ?? (AttentionDropout is >= 0 and < 1 ? null : string.Create(CultureInfo.InvariantCulture, $"attention_dropout is {AttentionDropout}, expected a number from 0 to below 1."));

    /// <summary>What is wrong with the grid of patches; null if nothing is.</summary>
    private protected abstract string? GridFault { get; }

    internal virtual JsonObject ToJsonObject() => new()
    {
        ["architectures"] = new JsonArray(Architecture),
        ["attention_dropout"] = AttentionDropout,
        ["hidden_act"] = HiddenAct,
        ["hidden_size"] = HiddenSize,
        ["intermediate_size"] = IntermediateSize,
        ["layer_norm_eps"] = LayerNormEps,
        ["num_attention_heads"] = NumAttentionHeads,
        ["num_channels"] = NumChannels,
        ["num_hidden_layers"] = NumHiddenLayers,
        ["patch_size"] = PatchSize,
        ["vision_use_head"] = VisionUseHead,
    };

    private protected static string? RangeFault(string name, int value, int low, int high) =>
        value >= low && value <= high ? null : $"{name} is {value}, expected a whole number from {low} to {high}.";

    private static string? CheckModelType(JsonFields fields, string source)
    {
        string? modelType = fields.String("model_type", null);
        if (modelType is null or "siglip" or "siglip2" or SiglipVisionConfig.ModelTypeName or Siglip2VisionConfig.ModelTypeName)
            return modelType;
        if (modelType is "siglip_text_model" or "siglip2_text_model")
            throw new InvalidDataException($"{source}: model_type is '{modelType}', a text tower without a vision tower; use a checkpoint of the whole model "
                + "or of its vision tower.");
        throw new InvalidDataException($"{source}: model_type is '{modelType}', expected siglip, {SiglipVisionConfig.ModelTypeName}, siglip2 or "
            + $"{Siglip2VisionConfig.ModelTypeName}; use a checkpoint of a SigLIP model with a vision tower.");
    }
}
