using Siglip.MLNet;
using Siglip.MLNet.Internals;

#pragma warning disable IDE0130 // In ML.NET's namespace, so that it is found where users look.
namespace Microsoft.ML;

/// <summary>SigLIP in the catalog of transforms.</summary>
public static class SiglipCatalog
{
    /// <summary>Turns a column of images into SigLIP embeddings.</summary>
    /// <param name="catalog">The catalog of transforms: <c>mlContext.Transforms</c>.</param>
    /// <param name="outputColumnName">The column to add.</param>
    /// <param name="inputColumnName">The column with images: <c>MLImage</c>, a vector of bytes (an encoded image), or text (a path). Null means
    /// <paramref name="outputColumnName"/>.</param>
    /// <param name="model">The folder of a checkpoint, or <c>nano</c>, the small model that comes with the library.</param>
    /// <param name="output">Which embedding.</param>
    /// <param name="gpuDeviceId">The CUDA device, from 0. Null means <c>MLContext.GpuDeviceId</c>, and the CPU if that is null too. It is not part
    /// of a saved model: there the loading context's decides.</param>
    /// <param name="fallbackToCpu">Whether the CPU computes if <paramref name="gpuDeviceId"/> is given and there is no such device.</param>
    /// <exception cref="ArgumentException">An argument is empty or out of its range, the model has no pooling head for a pooled embedding, or the
    /// checkpoint's preprocessing does not fit its model.</exception>
    /// <exception cref="FileNotFoundException">The checkpoint is missing.</exception>
    /// <exception cref="InvalidDataException">The checkpoint is damaged.</exception>
    /// <exception cref="InvalidOperationException">There is no such GPU, and the CPU is not allowed instead.</exception>
    public static SiglipImageFeaturizingEstimator SiglipFeaturizeImage(
        this TransformsCatalog catalog,
        string outputColumnName,
        string? inputColumnName = null,
        string model = "nano",
        SiglipOutputKind output = SiglipOutputKind.PatchEmbeddings,
        int? gpuDeviceId = null,
        bool fallbackToCpu = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(outputColumnName);
        return catalog.SiglipFeaturizeImage(new SiglipImageFeaturizingOptions
        {
            InputColumnName = inputColumnName,
            Columns = { [outputColumnName] = output },
            Model = model,
            GpuDeviceId = gpuDeviceId,
            FallbackToCpu = fallbackToCpu,
        });
    }

    /// <summary>Turns a column of images into one or more columns of SigLIP embeddings.</summary>
    /// <param name="catalog">The catalog of transforms: <c>mlContext.Transforms</c>.</param>
    /// <param name="options">What to read, compute and add.</param>
    /// <exception cref="ArgumentException">An option is out of its range, the model has no pooling head for a pooled embedding, or the
    /// checkpoint's preprocessing does not fit its model.</exception>
    /// <exception cref="FileNotFoundException">The checkpoint is missing.</exception>
    /// <exception cref="InvalidDataException">The checkpoint is damaged.</exception>
    /// <exception cref="InvalidOperationException">There is no such GPU, and the CPU is not allowed instead.</exception>
    public static SiglipImageFeaturizingEstimator SiglipFeaturizeImage(this TransformsCatalog catalog, SiglipImageFeaturizingOptions options) =>
        new(Environments.EnvironmentOf(catalog), options);

    /// <summary>Keeps the embeddings of images, so that all SigLIP steps of the context, also those of models that it loads, embed an image once: cross-validation
    /// embeds once per image instead of once per fold, a second training run not at all. Pipelines stay as they are.</summary>
    /// <param name="mlContext">The context.</param>
    /// <param name="options">Where embeddings are kept, and how many; null for the defaults: in memory.</param>
    /// <returns>The cache. It is in use until it is disposed.</returns>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    /// <exception cref="InvalidOperationException">The context has a cache already.</exception>
    /// <exception cref="InvalidDataException">The file is no embedding cache, a damaged one, or of another version.</exception>
    /// <exception cref="IOException">The file cannot be opened or written.</exception>
    public static SiglipEmbeddingCache CacheSiglipEmbeddings(this MLContext mlContext, SiglipEmbeddingCacheOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(mlContext);
        return SiglipEmbeddingCache.Attach(Environments.RootOf(mlContext), options ?? new SiglipEmbeddingCacheOptions());
    }
}
