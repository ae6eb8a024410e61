using Siglip.Core;

namespace Siglip.MLNet;

/// <summary>Options for the <see cref="SiglipImageFeaturizingEstimator"/> as used in
/// <see cref="Microsoft.ML.SiglipCatalog.SiglipFeaturizeImage(Microsoft.ML.TransformsCatalog, SiglipImageFeaturizingOptions)"/>: what it reads, computes and
/// adds.</summary>
/// <remarks>A record, so one that differs in an option is <c>options with { BatchSize = 64 }</c>; it shares the <see cref="Columns"/>.</remarks>
public sealed record SiglipImageFeaturizingOptions
{
    /// <summary>The column with the images: <c>MLImage</c>, encoded bytes, or the paths of files.</summary>
    /// <value>The default, null, means the name of the output column; with several outputs a name is needed.</value>
    public string? InputColumnName { get; init; }

    /// <summary>The output columns, name to kind: <c>Columns = { ["Embedding"] = SiglipOutputKind.PooledEmbedding }</c>. One forward pass serves them all,
    /// and only those that a later step reads are computed.</summary>
    /// <value>At least one.</value>
    public IDictionary<string, SiglipOutputKind> Columns { get; init; } = new OrderedDictionary<string, SiglipOutputKind>();

    /// <summary>The checkpoint: a folder with config.json, preprocessor_config.json and model.safetensors; a model of the Hugging Face hub by its id, such as
    /// google/siglip2-base-patch16-224; or <c>nano</c>. A saved model with weights holds only the folder's own name.</summary>
    /// <value>The default is <c>nano</c>, the small model that comes with the library.</value>
    public string Model { get; init; } = "nano";

    /// <summary>For a model of the Hugging Face hub: a branch, a tag or a commit. A saved model without weights holds the commit that it was then.</summary>
    /// <value>The default, null, means that in <see cref="Model"/>, or main.</value>
    public string? Revision { get; init; }

    /// <summary>Whether a model of the Hugging Face hub is taken from the cache only. It is not part of a saved model.</summary>
    /// <value>The default, false, means that the environment decides (<c>HF_HUB_OFFLINE</c>).</value>
    public bool Offline { get; init; }

    /// <summary>The folder that relative paths in a text column start from. A saved model holds it as it is given here, so leave it null, or
    /// give a relative one, for a model that goes to other machines.</summary>
    /// <value>The default, null, means the current directory.</value>
    public string? ImageFolder { get; init; }

    /// <summary>The number of images in one forward pass. From the second batch on, the rows of some further batches are read, and their images decoded, while the
    /// model computes; with batches of one row none is read ahead, for streams whose next row waits for an embedding.</summary>
    /// <value>At least 1; the default is 16.</value>
    public int BatchSize { get; init; } = 16;

    /// <summary>The CUDA device that computes, from 0. It is not part of a saved model: where that is loaded, <c>MLContext.GpuDeviceId</c> and
    /// <c>MLContext.FallbackToCpu</c> of the loading context decide.</summary>
    /// <value>The default, null, means <c>MLContext.GpuDeviceId</c> and <c>MLContext.FallbackToCpu</c>; the CPU if that is null too.</value>
    public int? GpuDeviceId { get; init; }

    /// <summary>Whether all CUDA devices of the machine compute, each with a model of its own: every batch is shared out between them, so
    /// <see cref="BatchSize"/> should grow with their number. Not together with <see cref="GpuDeviceId"/>. It is not part of a saved model.</summary>
    /// <value>The default is false.</value>
    public bool UseAllGpus { get; init; }

    /// <summary>Whether the CPU computes where the CUDA device of <see cref="GpuDeviceId"/>, or any for <see cref="UseAllGpus"/>, is missing; otherwise that is
    /// an error. Without effect if neither is given. It is not part of a saved model.</summary>
    /// <value>The default is false.</value>
    public bool FallbackToCpu { get; init; }

    /// <summary>What happens to a row whose image cannot be read.</summary>
    /// <value>The default is <see cref="BadImageHandling.Throw"/>.</value>
    public BadImageHandling BadImages { get; init; }

    /// <summary>Whether a saved model holds the weights. Otherwise it holds <see cref="Model"/> as it is given here (of a model of the Hugging
    /// Face hub with its commit), with the SHA-256 of the weights, and loading fails unless the checkpoint is there, or can be fetched, with the same weights,
    /// configuration and preprocessing.</summary>
    /// <value>The default is true.</value>
    public bool EmbedWeights { get; init; } = true;

    /// <summary>The floating-point type in which the model computes. It is part of a saved model, whose weights have
    /// this type, too.</summary>
    /// <value>The default is <see cref="SiglipPrecision.Float32"/>.</value>
    public SiglipPrecision Precision { get; init; }

    /// <summary>Whose arithmetic turns images into pixel values: that of the Python code that made the embeddings to compare with. It is part of a saved
    /// model.</summary>
    /// <value>The default is <see cref="SiglipImageBackend.Pillow"/>.</value>
    public SiglipImageBackend ImageBackend { get; init; }

    /// <summary>Whether a model with fixed resolution takes images of another size than its own, with position embeddings interpolated (bicubic) to their
    /// grid of patches, as transformers' <c>interpolate_pos_encoding</c> does. The size is that of the checkpoint's preprocessing, or
    /// <see cref="ImageHeight"/> and <see cref="ImageWidth"/>.</summary>
    /// <value>The default is false.</value>
    public bool InterpolatePositionEncoding { get; init; }

    /// <summary>Height to which images are resized, in pixels; other than the model's only with <see cref="InterpolatePositionEncoding"/>.</summary>
    /// <value>At least the patch size; the default, null, is that of the checkpoint's preprocessing.</value>
    public int? ImageHeight { get; init; }

    /// <summary>Width to which images are resized, in pixels; other than the model's only with <see cref="InterpolatePositionEncoding"/>.</summary>
    /// <value>At least the patch size; the default, null, is that of the checkpoint's preprocessing.</value>
    public int? ImageWidth { get; init; }

    /// <summary>The most patches of an image, for a model with variable resolution (NaFlex).</summary>
    /// <value>From 1 to 65,536; the default, null, is that of the checkpoint's preprocessing.</value>
    public int? MaxNumPatches { get; init; }

    /// <summary>Whether each embedding (each patch's, for patch embeddings) is scaled to length 1, so that a dot product of two is their cosine
    /// similarity. Linear trainers do better without: their regularization is made for larger values.</summary>
    /// <value>The default is false.</value>
    public bool Normalize { get; init; }

    /// <summary>Whether encoded images are turned as their EXIF data say. An <c>MLImage</c> no longer has such data.</summary>
    /// <value>The default is false, as in transformers' image processor.</value>
    public bool ApplyExifOrientation { get; init; }

    /// <summary>Whether the codec reduces large JPEG images while it decodes them, to a half, a fourth or an eighth, as far as that leaves at least twice the
    /// model's pixels on each side: faster, with embeddings that differ a little. It has no effect on an <c>MLImage</c>. It is part of a saved model.</summary>
    /// <value>The default is false.</value>
    public bool FastDecode { get; init; }

    /// <summary>Ends the reading of embeddings before the next batch, with an <see cref="OperationCanceledException"/>: that of a trainer, too, which reads them while
    /// it fits (some trainers put it into an <see cref="AggregateException"/>). It is not part of a saved model.</summary>
    /// <value>The default is never canceled.</value>
    public CancellationToken CancellationToken { get; init; }
}
