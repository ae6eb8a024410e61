namespace Siglip.Core;

/// <summary>The names and shapes of a vision model's parameters, which follow from its configuration.</summary>
internal static class ExpectedTensors
{
    public const string Prefix = "vision_model.";
    public const string EncoderPrefix = Prefix + "encoder.";
    public const string LayersPrefix = EncoderPrefix + "layers."; // then a layer's number
    public const string PositionEmbedding = Prefix + "embeddings.position_embedding.weight";

    /// <summary>The state dict of a vision model, without <see cref="Prefix"/>.</summary>
    public static IEnumerable<(string Name, long[] Shape)> OfVisionModel(SiglipVisionConfigBase config)
    {
        long hidden = config.HiddenSize;
        yield return ("embeddings.patch_embedding.weight", config.PatchEmbeddingShape);
        yield return ("embeddings.patch_embedding.bias", [hidden]);
        yield return ("embeddings.position_embedding.weight", [config.NumPositions, hidden]);

        for (int i = 0; i < config.NumHiddenLayers; i++)
        {
            string layer = $"encoder.layers.{i}.";
            IEnumerable<(string, long[])> ofLayer =
            [
                .. LayerNorm(layer + "layer_norm1", hidden),
                .. Linear(layer + "self_attn.q_proj", hidden, hidden),
                .. Linear(layer + "self_attn.k_proj", hidden, hidden),
                .. Linear(layer + "self_attn.v_proj", hidden, hidden),
                .. Linear(layer + "self_attn.out_proj", hidden, hidden),
                .. LayerNorm(layer + "layer_norm2", hidden),
                .. Linear(layer + "mlp.fc1", hidden, config.IntermediateSize),
                .. Linear(layer + "mlp.fc2", config.IntermediateSize, hidden),
            ];
            foreach ((string, long[]) tensor in ofLayer)
                yield return tensor;
        }

        foreach ((string, long[]) tensor in LayerNorm("post_layernorm", hidden))
            yield return tensor;
        if (!config.VisionUseHead)
            yield break;

        IEnumerable<(string, long[])> ofHead =
        [
            ("head.probe", [1, 1, hidden]),
            ("head.attention.in_proj_weight", [3 * hidden, hidden]),
            ("head.attention.in_proj_bias", [3 * hidden]),
            .. Linear("head.attention.out_proj", hidden, hidden),
            .. LayerNorm("head.layernorm", hidden),
            .. Linear("head.mlp.fc1", hidden, config.IntermediateSize),
            .. Linear("head.mlp.fc2", config.IntermediateSize, hidden),
        ];
        foreach ((string, long[]) tensor in ofHead)
            yield return tensor;
    }

    /// <summary>Number of a vision model's parameters.</summary>
    public static long ParameterCount(SiglipVisionConfigBase config) =>
        OfVisionModel(config).Sum(tensor => tensor.Shape.Aggregate(1L, (product, size) => product * size));

    /// <summary>The classifier of <see cref="SiglipForImageClassification"/>.</summary>
    public static IEnumerable<(string Name, long[] Shape)> OfClassifier(SiglipVisionConfigBase config, int labels) =>
        Linear("classifier", config.HiddenSize, labels);

    private static (string Name, long[] Shape)[] Linear(string name, long from, long to) => [(name + ".weight", [to, from]), (name + ".bias", [to])];

    private static (string Name, long[] Shape)[] LayerNorm(string name, long size) => [(name + ".weight", [size]), (name + ".bias", [size])];
}
