using Siglip.Core;

namespace Siglip.MLNet;

/// <summary>A cache as one transformer sees it.</summary>
/// <param name="cache">Of the transformer's context.</param>
/// <param name="space">Of the transformer's embeddings.</param>
internal sealed class ImageLookup(SiglipEmbeddingCache cache, EmbeddingSpace space)
{
    public EmbeddingSpace Space => space;

    public CachedEmbedding? Find(ImageKey key, SiglipEmbeddingOutputs outputs) => cache.Find(key, outputs, space);

    public void Add(IReadOnlyCollection<(ImageKey Key, CachedEmbedding Embedding)> entries) => cache.Add(entries);
}
