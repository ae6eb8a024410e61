namespace Siglip.Core;

/// <summary>How a <see cref="SiglipImageEmbedder"/> works.</summary>
public sealed record SiglipImageEmbedderOptions
{
    /// <summary>The embedding that <c>Embed</c> and <c>EmbedAsync</c> return; one flag. The default is the pooled embedding, or the mean
    /// patch embedding if the model has no pooling head.</summary>
    public SiglipEmbeddingOutputs? Output { get; init; }

    /// <summary>The number of images in one forward pass of <c>EmbedAsync</c>. At least 1; the default is 16.</summary>
    public int BatchSize { get; init; } = 16;

    /// <summary>Where the model computes: <c>cpu</c> (the default), <c>cuda</c> or <c>cuda:1</c>.</summary>
    public string Device { get; init; } = "cpu";

    /// <summary>Whether each embedding (each patch's, for patch embeddings) is scaled to length 1. The default is false.</summary>
    public bool Normalize { get; init; }

    /// <summary>Whether images are turned as their EXIF data say. The default is false, as in transformers' image processor.</summary>
    public bool ApplyExifOrientation { get; init; }

    /// <summary>Whether an image that cannot be read gives an embedding of NaN, with the reason, instead of ending the sequence of
    /// <c>EmbedAsync</c>. The default is false.</summary>
    public bool BadImagesAreMissing { get; init; }
}
