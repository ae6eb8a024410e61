namespace Siglip.Core;

/// <summary>What a forward pass computes beside the last hidden state.</summary>
public sealed record SiglipForwardOptions
{
    /// <summary>Return the embeddings and the output of every layer, before the final layer norm. The default is false.</summary>
    public bool OutputHiddenStates { get; init; }

    /// <summary>Return the attention weights of every layer; these are then computed step by step, which is slower. The default is false.</summary>
    public bool OutputAttentions { get; init; }

    /// <summary>
    /// Accept images of any size of at least one patch, and interpolate the position embeddings (bicubic) to their grid. The default is false.
    /// </summary>
    public bool InterpolatePositionEncoding { get; init; }

    /// <summary>Share of each image's patches, drawn from torch's generator, that is left out after they are embedded: for training. From 0 to below 1.</summary>
    internal double PatchDropout { get; init; }
}
