using Siglip.MLNet;
using Siglip.MLNet.Internals;

#pragma warning disable IDE0130 // In ML.NET's namespace, so that it is found where users look.
namespace Microsoft.ML;

/// <summary>Extension methods of ML.NET's catalogs that make <see cref="SiglipImageFeaturizingEstimator"/> and <see cref="SiglipImageClassificationTrainer"/>.</summary>
public static class SiglipCatalog
{
    /// <summary>Create a <see cref="SiglipImageFeaturizingEstimator"/>, which embeds the images of the column <paramref name="inputColumnName"/> into a new
    /// column: <paramref name="outputColumnName"/>.</summary>
    /// <param name="catalog">The transform's catalog.</param>
    /// <param name="outputColumnName">Name of the column resulting from the transformation of <paramref name="inputColumnName"/>. Its data type is that of
    /// <paramref name="output"/>: a known-sized vector of <see cref="float"/>, or a <see cref="float"/> for <see cref="SiglipOutputKind.PatchCount"/>.</param>
    /// <param name="inputColumnName">Name of the column with the images: <see cref="Data.MLImage"/>, a vector of <see cref="byte"/> (the content of an image
    /// file), or text (the path of one). If null, <paramref name="outputColumnName"/> is used as source.</param>
    /// <param name="model">The folder of a checkpoint, with config.json, preprocessor_config.json and model.safetensors; a model of the Hugging Face hub by its id,
    /// such as google/siglip2-base-patch16-224, which is fetched unless it is in the cache; or <c>nano</c>, the small model that comes with the library, made to
    /// try it out.</param>
    /// <param name="output">Which embedding. Trainers, and the search for similar images, want <see cref="SiglipOutputKind.PooledEmbedding"/>, a vector for
    /// the image; the default is a vector for each patch of it.</param>
    /// <param name="gpuDeviceId">The CUDA device to compute on, from 0. Null means <see cref="MLContext.GpuDeviceId"/> and
    /// <see cref="MLContext.FallbackToCpu"/>, and the CPU if they name no device either. It is not part of a saved model: there those of the loading context decide.</param>
    /// <param name="fallbackToCpu">Whether the CPU computes if <paramref name="gpuDeviceId"/> is given and there is no such device; otherwise that is an
    /// error.</param>
    /// <returns>An estimator that has checked the checkpoint's files, and loads its weights in <see cref="SiglipImageFeaturizingEstimator.Fit"/>.</returns>
    /// <exception cref="ArgumentException">An argument is empty or out of its range, the model has no pooling head for a pooled embedding, or the
    /// checkpoint's preprocessing does not fit its model.</exception>
    /// <exception cref="FileNotFoundException">The checkpoint is missing.</exception>
    /// <exception cref="InvalidDataException">The checkpoint is damaged.</exception>
    /// <exception cref="InvalidOperationException">There is no such GPU, and the CPU is not allowed instead.</exception>
    /// <example>
    /// <format type="text/markdown">
    /// <![CDATA[
    /// ```csharp
    /// var pipeline = mlContext.Transforms.Conversion.MapValueToKey("Label")
    ///     .Append(mlContext.Transforms.SiglipFeaturizeImage("Features", "ImagePath", "path/to/checkpoint", SiglipOutputKind.PooledEmbedding))
    ///     .AppendCacheCheckpoint(mlContext)
    ///     .Append(mlContext.MulticlassClassification.Trainers.LbfgsMaximumEntropy());
    /// ```
    ///
    /// Programs that run: [embeddings as columns](~/docs/ml-net/embeddings.md), [a classifier](~/docs/ml-net/classifier.md),
    /// [all scenarios](~/docs/ml-net/README.md).
    /// ]]>
    /// </format>
    /// </example>
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

    /// <summary>Create a <see cref="SiglipImageFeaturizingEstimator"/> using <see cref="SiglipImageFeaturizingOptions"/>, which embeds the images of a column
    /// into one or more new columns, with one pass through the model.</summary>
    /// <param name="catalog">The transform's catalog.</param>
    /// <param name="options">What to read, compute and add.</param>
    /// <returns>An estimator that has checked the checkpoint's files, and loads its weights in <see cref="SiglipImageFeaturizingEstimator.Fit"/>.</returns>
    /// <exception cref="ArgumentException">An option is out of its range, the model has no pooling head for a pooled embedding, or the
    /// checkpoint's preprocessing does not fit its model.</exception>
    /// <exception cref="FileNotFoundException">The checkpoint is missing.</exception>
    /// <exception cref="InvalidDataException">The checkpoint is damaged.</exception>
    /// <exception cref="InvalidOperationException">There is no such GPU, and the CPU is not allowed instead.</exception>
    /// <example>
    /// <format type="text/markdown">
    /// <![CDATA[
    /// ```csharp
    /// var estimator = mlContext.Transforms.SiglipFeaturizeImage(new SiglipImageFeaturizingOptions
    /// {
    ///     InputColumnName = "ImagePath",
    ///     Columns = { ["Pooled"] = SiglipOutputKind.PooledEmbedding, ["Patches"] = SiglipOutputKind.PatchEmbeddings },
    ///     Model = "path/to/checkpoint",
    ///     BadImages = BadImageHandling.Missing,
    /// });
    /// ```
    ///
    /// Programs that run: [several outputs](~/docs/ml-net/embeddings.md), [damaged images](~/docs/ml-net/bad-images.md),
    /// [image sizes and NaFlex](~/docs/ml-net/image-sizes.md), [device and precision](~/docs/ml-net/device-and-precision.md).
    /// ]]>
    /// </format>
    /// </example>
    public static SiglipImageFeaturizingEstimator SiglipFeaturizeImage(this TransformsCatalog catalog, SiglipImageFeaturizingOptions options) =>
        new(Environments.EnvironmentOf(catalog), options);

    /// <summary>Create a <see cref="SiglipImageClassificationTrainer"/>, which trains the vision model of a checkpoint, and a classifier, to tell the classes of images
    /// apart.</summary>
    /// <param name="catalog">The multiclass classification catalog's trainers.</param>
    /// <param name="labelColumnName">The name of the label column, of key type.</param>
    /// <param name="imageColumnName">The name of the column with the images: <see cref="Data.MLImage"/>, a vector of <see cref="byte"/> (the content of an image
    /// file), or text (the path of one).</param>
    /// <param name="options">Where the training starts, how it goes, and what the trained model does; null for the defaults.</param>
    /// <returns>An estimator that has checked the checkpoint's files, and trains in <see cref="SiglipImageClassificationTrainer.Fit"/>.</returns>
    /// <exception cref="ArgumentException">An argument is empty or an option out of its range, or the model cannot be trained, or not so.</exception>
    /// <exception cref="FileNotFoundException">The checkpoint is missing.</exception>
    /// <exception cref="InvalidDataException">The checkpoint is damaged.</exception>
    /// <exception cref="InvalidOperationException">There is no such GPU, and the CPU is not allowed instead.</exception>
    /// <example>
    /// <format type="text/markdown">
    /// <![CDATA[
    /// ```csharp
    /// var pipeline = mlContext.Transforms.Conversion.MapValueToKey("Label")
    ///     .Append(mlContext.MulticlassClassification.Trainers.SiglipImageClassification("Label", "ImagePath", new SiglipImageClassificationOptions
    ///     {
    ///         Model = "path/to/checkpoint",
    ///         Training = new SiglipTrainingOptions { Epochs = 5, LearningRate = 1e-4 },
    ///         ValidationSetFraction = 0.1,
    ///     }))
    ///     .Append(mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel"));
    /// ```
    ///
    /// A program that runs: [fine-tuning](~/docs/ml-net/fine-tuning.md).
    /// ]]>
    /// </format>
    /// </example>
    public static SiglipImageClassificationTrainer SiglipImageClassification(
        this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog,
        string labelColumnName = "Label",
        string imageColumnName = "Image",
        SiglipImageClassificationOptions? options = null) =>
        new(Environments.EnvironmentOf(catalog), labelColumnName, imageColumnName, options ?? new SiglipImageClassificationOptions());

    /// <summary>Keeps the embeddings of images, so that all SigLIP steps of the context, also those of models that it loads, embed an image once: cross-validation
    /// embeds once per image instead of once per fold, a second training run not at all. Pipelines stay as they are.</summary>
    /// <param name="mlContext">The context.</param>
    /// <param name="options">Where embeddings are kept, and how many; null for the defaults: in memory.</param>
    /// <returns>The cache. It is in use until it is disposed.</returns>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// ```csharp
    /// using SiglipEmbeddingCache cache = mlContext.CacheSiglipEmbeddings(new SiglipEmbeddingCacheOptions { Path = "embeddings.db" });
    /// var results = mlContext.MulticlassClassification.CrossValidate(photos, pipeline);
    /// ```
    /// A program that runs: [cross-validation](~/docs/ml-net/cross-validation.md).
    /// ]]>
    /// </format>
    /// </remarks>
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
