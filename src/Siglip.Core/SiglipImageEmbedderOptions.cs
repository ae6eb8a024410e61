namespace Siglip.Core;

/// <summary>How a <see cref="SiglipImageEmbedder"/> works.</summary>
public sealed record SiglipImageEmbedderOptions
{
    /// <summary>The embedding that <c>Embed</c> and <c>EmbedAsync</c> return; one flag. The default is the pooled embedding, or the mean
    /// patch embedding if the model has no pooling head.</summary>
    public SiglipEmbeddingOutputs? Output { get; init; }

    /// <summary>The number of images in one forward pass of <c>EmbedAsync</c>. At least 1; the default is 16.</summary>
    public int BatchSize { get; init; } = 16;

    /// <summary>Where the model computes: <c>cpu</c> (the default), <c>cuda</c> or <c>cuda:1</c>; several, separated by commas, or <c>cuda:all</c> for all GPUs.
    /// Of several devices each has a model of its own, and every batch is shared out between them.</summary>
    public string Device { get; init; } = "cpu";

    /// <summary>The floating-point type in which the model computes. The default, null, leaves a model that is taken over as it is, and loads a
    /// checkpoint in <see cref="SiglipPrecision.Float32"/>.</summary>
    public SiglipPrecision? Precision { get; init; }

    /// <summary>Whose arithmetic turns images into pixel values: that of the Python code that made the embeddings to compare with. The default is
    /// <see cref="SiglipImageBackend.Pillow"/>.</summary>
    public SiglipImageBackend ImageBackend { get; init; }

    /// <summary>Whether a model with fixed resolution takes images of another size than its own, with position embeddings interpolated (bicubic) to their
    /// grid of patches, as transformers' <c>interpolate_pos_encoding</c> does. The size is that of the preprocessing, or <see cref="ImageHeight"/> and
    /// <see cref="ImageWidth"/>. The default is false.</summary>
    public bool InterpolatePositionEncoding { get; init; }

    /// <summary>Height to which images are resized, in pixels; other than the model's only with <see cref="InterpolatePositionEncoding"/>. At least the
    /// patch size; the default, null, is that of the preprocessing.</summary>
    public int? ImageHeight { get; init; }

    /// <summary>Width to which images are resized, in pixels; other than the model's only with <see cref="InterpolatePositionEncoding"/>. At least the
    /// patch size; the default, null, is that of the preprocessing.</summary>
    public int? ImageWidth { get; init; }

    /// <summary>The most patches of an image, for a model with variable resolution (NaFlex): see <see cref="Siglip2ImageProcessorConfig.MaxNumPatches"/>.
    /// The default, null, is that of the preprocessing.</summary>
    public int? MaxNumPatches { get; init; }

    /// <summary>Whether each embedding (each patch's, for patch embeddings) is scaled to length 1. The default is false.</summary>
    public bool Normalize { get; init; }

    /// <summary>Whether images are turned as their EXIF data say. The default is false, as in transformers' image processor.</summary>
    public bool ApplyExifOrientation { get; init; }

    /// <summary>Whether the codec reduces large JPEG images while it decodes them, to a half, a fourth or an eighth, as far as that leaves at least twice the
    /// model's pixels on each side: faster, with embeddings that differ a little. The pixels are those of Pillow's <c>Image.draft</c>, as in its
    /// <c>thumbnail</c>. Other images are decoded in full. The default is false.</summary>
    public bool FastDecode { get; init; }

    /// <summary>Whether an image that cannot be read gives an embedding of NaN, with the reason, instead of ending the sequence of
    /// <c>EmbedAsync</c>. The default is false.</summary>
    public bool BadImagesAreMissing { get; init; }

    /// <summary>For a model of the Hugging Face hub: a branch, a tag or a commit. The default, null, means that in the model's name, or main.</summary>
    public string? Revision { get; init; }

    /// <summary>Whether a model of the Hugging Face hub is taken from the cache only. The default, false, means that the environment decides
    /// (<c>HF_HUB_OFFLINE</c>).</summary>
    public bool Offline { get; init; }
}
