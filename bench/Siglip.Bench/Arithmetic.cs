using Siglip.Core;

namespace Siglip.Bench;

/// <summary>How much a model has to compute.</summary>
internal static class Arithmetic
{
    /// <summary>Floating-point operations of one image's matrix products, a multiplication and an addition each. The rest is less than 1 %.</summary>
    /// <param name="config">The model; its pooling head is counted.</param>
    /// <param name="imageSize">Height and width of the image.</param>
    public static double Operations(SiglipVisionConfig config, int imageSize)
    {
        double side = imageSize / config.PatchSize;
        double patches = side * side, hidden = config.HiddenSize;
        double embeddings = patches * config.NumChannels * config.PatchSize * config.PatchSize * hidden;
        double projections = 4 * hidden * hidden; // query, key, value, output
        double mlp = 2 * hidden * config.IntermediateSize;
        double attention = 2 * patches * hidden; // scores, and the weighted sum; for each query
        double layer = patches * (projections + mlp + attention);
        double head = config.VisionUseHead ? (patches * 2 * hidden * hidden) + (2 * hidden * hidden) + attention + mlp : 0; // keys and values of all patches, one query
        return 2 * (embeddings + (config.NumHiddenLayers * layer) + head);
    }
}
