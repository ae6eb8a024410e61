using Microsoft.Extensions.AI;

namespace Siglip.Extensions.AI.Tests;

/// <summary>Counts the images that get through to a generator, and whether it was disposed.</summary>
internal sealed class CountingGenerator(IEmbeddingGenerator<DataContent, Embedding<float>> inner)
    : DelegatingEmbeddingGenerator<DataContent, Embedding<float>>(inner)
{
    public int Images { get; private set; }

    public bool IsDisposed { get; private set; }

    public override async Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(
        IEnumerable<DataContent> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        GeneratedEmbeddings<Embedding<float>> embeddings = await base.GenerateAsync(values, options, cancellationToken);
        Images += embeddings.Count;
        return embeddings;
    }

    protected override void Dispose(bool disposing)
    {
        IsDisposed = true;
        base.Dispose(disposing);
    }
}
