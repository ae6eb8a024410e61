using System.Runtime.ExceptionServices;
using Microsoft.Extensions.AI;
using Siglip.Core;

namespace Siglip.Extensions.AI;

/// <summary>Images in, embeddings out, for whatever takes an embedding generator of Microsoft.Extensions.AI: vector stores, caches, Semantic Kernel.</summary>
/// <remarks>
/// <para>The embeddings are those of <see cref="SiglipImageEmbedder"/>, computed in batches of <see cref="SiglipImageEmbedderOptions.BatchSize"/>: while
/// the model computes one, the next is decoded and resized on all cores. One instance serves any number of threads.</para>
/// <para>An input is a JPEG, PNG, WebP, GIF (first frame) or BMP file, as bytes or as a <c>data:</c> URI; <c>DataContent.LoadFromAsync</c> reads one from
/// disk. Its media type has to begin with <c>image/</c>; which format it is, its bytes say.</para>
/// </remarks>
public sealed class SiglipEmbeddingGenerator : IEmbeddingGenerator<DataContent, Embedding<float>>
{
    private readonly SiglipImageEmbedder _embedder;
    private readonly bool _leaveOpen;
    private readonly EmbeddingGeneratorMetadata _metadata;

#pragma warning disable RS0026 // The first parameter tells the overloads apart.
    /// <summary>Loads a model and its preprocessing; disposing the generator disposes them.</summary>
    /// <param name="model">The folder of a checkpoint; a model of the Hugging Face hub by its id; or <c>nano</c>, the small model that comes with the library.</param>
    /// <param name="options">How to work; null for the defaults. Scale embeddings to length 1 with <see cref="SiglipImageEmbedderOptions.Normalize"/> if
    /// the vector store compares them by dot product.</param>
    /// <param name="modelId">What the generator calls the model; null for its id on the hub, or the name of its folder, without the path.</param>
    /// <exception cref="FileNotFoundException">There is no such folder or model, or it lacks a file.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or the weights do not fit the configuration.</exception>
    /// <exception cref="ArgumentException">The output is patch embeddings, which are many vectors for an image; the device does not exist, or the options do
    /// not fit the model.</exception>
    /// <exception cref="InvalidOperationException">The device is a GPU, but CUDA is not available.</exception>
    public SiglipEmbeddingGenerator(string model, SiglipImageEmbedderOptions? options = null, string? modelId = null)
        : this(Load(model, options), leaveOpen: false, modelId ?? NameOf(model))
    {
    }

    /// <summary>Generates what an embedder computes.</summary>
    /// <param name="embedder">The embedder; its output is the pooled or the mean patch embedding.</param>
    /// <param name="leaveOpen">Whether the embedder stays open when the generator is disposed. The default is false: it is taken over.</param>
    /// <param name="modelId">What the generator calls the model; null for no name, and then a request cannot name one either.</param>
    /// <exception cref="ArgumentException">The embedder's output is patch embeddings, which are many vectors for an image.</exception>
    public SiglipEmbeddingGenerator(SiglipImageEmbedder embedder, bool leaveOpen = false, string? modelId = null)
    {
        ArgumentNullException.ThrowIfNull(embedder);
        CheckOneVector(embedder.Output, nameof(embedder));
        _embedder = embedder;
        _leaveOpen = leaveOpen;
        _metadata = new EmbeddingGeneratorMetadata("siglip", providerUri: null, modelId, embedder.GetLength(embedder.Output));
    }
#pragma warning restore RS0026

    /// <summary>Embeds images.</summary>
    /// <param name="values">The images. They are read once, batch by batch on another thread, so the files of a lazy sequence are never all in memory.</param>
    /// <param name="options">Null, or what fits the model: <see cref="EmbeddingGenerationOptions.Dimensions"/> its embeddings' length (they cannot be
    /// shortened), <see cref="EmbeddingGenerationOptions.ModelId"/> its name (there is only this model). Everything else in them is ignored.</param>
    /// <param name="cancellationToken">Ends the work before the next batch.</param>
    /// <returns>One embedding of [hidden] values for each image, in their order, with the model's name and the time. There is no usage: images have no
    /// tokens that somebody counts.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="values"/> is null.</exception>
    /// <exception cref="ArgumentException">The options ask for another length or another model, or an input is null or of a media type other than
    /// <c>image/*</c>.</exception>
    /// <exception cref="InvalidDataException">An input is no image, a damaged one, or one that the preprocessing does not take; the message gives its
    /// position, from 0, and its name if it has one. Also if the embedder's <see cref="SiglipImageEmbedderOptions.BadImagesAreMissing"/> is true: a
    /// vector of NaN would spoil the store that it is written to.</exception>
    /// <exception cref="ObjectDisposedException">The embedder is disposed.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(
        IEnumerable<DataContent> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(values);
        Check(options);

        // On a thread of the pool, so that a caller with a synchronization context, such as a window, is neither held up nor needed to go on.
        return Task.Run(() => EmbedAsync(values, cancellationToken), cancellationToken);
    }

    /// <summary>Gives what there is behind the interface.</summary>
    /// <param name="serviceType"><see cref="EmbeddingGeneratorMetadata"/>, <see cref="SiglipImageEmbedder"/>, or a type of this object.</param>
    /// <param name="serviceKey">Null: nothing here has a key.</param>
    /// <returns>The object, or null if there is none.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="serviceType"/> is null.</exception>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType == typeof(EmbeddingGeneratorMetadata) ? _metadata
            : serviceType == typeof(SiglipImageEmbedder) ? _embedder
            : serviceType.IsInstanceOfType(this) ? this
            : null;
    }

    /// <summary>Disposes the embedder, unless it is to stay open.</summary>
    public void Dispose()
    {
        if (!_leaveOpen)
            _embedder.Dispose();
    }

    private async Task<GeneratedEmbeddings<Embedding<float>>> EmbedAsync(IEnumerable<DataContent> values, CancellationToken cancellationToken)
    {
        var embeddings = new GeneratedEmbeddings<Embedding<float>>();
        List<string?> names = [];
        try
        {
            await foreach (SiglipImageEmbedding embedding in _embedder.EmbedAsync(Encoded(values, names).ToAsyncEnumerable(), cancellationToken))
            {
                if (embedding.Error is { } error)
                    ExceptionDispatchInfo.Throw(error);
                embeddings.Add(new Embedding<float>(embedding.Values) { CreatedAt = DateTimeOffset.UtcNow, ModelId = _metadata.DefaultModelId });
            }
        }
        catch (InvalidDataException bad) when (Named(bad, names) is { } named)
        {
            throw named;
        }

        return embeddings;
    }

    private static IEnumerable<ReadOnlyMemory<byte>> Encoded(IEnumerable<DataContent> values, List<string?> names)
    {
        foreach (DataContent? content in values)
        {
            string image = $"image {names.Count}";
            if (content is null)
                throw new ArgumentException($"{image} is null, expected a DataContent with an encoded image.", nameof(values));
            names.Add(content.Name);
            if (!content.HasTopLevelMediaType("image"))
            {
                throw new ArgumentException($"{With(content.Name, image)} has the media type {content.MediaType}, expected one that begins with image/. If it is "
                    + "an image, say so when the DataContent is made; otherwise leave it out.", nameof(values));
            }

            yield return content.Data;
        }
    }

    // The embedder counts images and knows no names: the name is put behind the number with which its sentence begins.
    private static InvalidDataException? Named(InvalidDataException bad, List<string?> names)
    {
        for (int i = 0; i < names.Count; i++)
        {
            string image = $"image {i}";
            if (names[i] is not null && bad.Message.StartsWith(image, StringComparison.Ordinal) && bad.Message.AsSpan(image.Length) is not [>= '0' and <= '9', ..])
                return new InvalidDataException(With(names[i], image) + bad.Message[image.Length..], bad);
        }

        return null;
    }

    private static string With(string? name, string image) => name is null ? image : $"{image} ('{name}')";

    private void Check(EmbeddingGenerationOptions? options)
    {
        string model = _metadata.DefaultModelId is { } id ? $"'{id}'" : "without a name";
        if (options?.Dimensions is { } dimensions && dimensions != _metadata.DefaultModelDimensions)
        {
            throw new ArgumentException($"Dimensions is {dimensions}, but the embeddings of the model {model} have {_metadata.DefaultModelDimensions} values and "
                + $"cannot be shortened. Leave Dimensions out, or set it to {_metadata.DefaultModelDimensions}.", nameof(options));
        }

        if (options?.ModelId is { } asked && asked != _metadata.DefaultModelId)
        {
            throw new ArgumentException($"ModelId is '{asked}', but this generator has the model {model}, and no other. Leave ModelId out, or make a generator "
                + "for that model; what a generator calls its model is the modelId of its constructor.", nameof(options));
        }
    }

    private static SiglipImageEmbedder Load(string model, SiglipImageEmbedderOptions? options)
    {
        if (options?.Output is { } output)
            CheckOneVector(output, nameof(options)); // before the weights are read
        return SiglipImageEmbedder.FromPretrained(model, options);
    }

    private static void CheckOneVector(SiglipEmbeddingOutputs output, string parameter)
    {
        if (output == SiglipEmbeddingOutputs.PatchEmbeddings)
        {
            throw new ArgumentException("The output is PatchEmbeddings, one vector for each patch, but an embedding generator gives one vector for an image. Set "
                + $"{nameof(SiglipImageEmbedderOptions)}.{nameof(SiglipImageEmbedderOptions.Output)} to {nameof(SiglipEmbeddingOutputs.PooledEmbedding)} or "
                + $"{nameof(SiglipEmbeddingOutputs.MeanPatchEmbedding)}.", parameter);
        }
    }

    // A path would tell every index and trace about the machine, and differ from the next one's. A model of the hub has a name of its own.
    private static string NameOf(string model) =>
        Path.Exists(model) ? Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(model))) : model.Split('@')[0];
}
