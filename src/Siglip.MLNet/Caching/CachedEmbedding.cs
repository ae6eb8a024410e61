using Siglip.Core;

namespace Siglip.MLNet;

/// <summary>The embeddings of one image that have been computed so far.</summary>
/// <param name="Grid">The image's patches.</param>
/// <param name="Patches">[patches, hidden], or null.</param>
/// <param name="Pooled">[hidden], or null.</param>
/// <param name="Mean">[hidden], or null.</param>
internal sealed record CachedEmbedding(SiglipPatchGrid Grid, float[]? Patches, float[]? Pooled, float[]? Mean)
{
    private const int Overhead = 200; // objects, key and table, about

    /// <summary>Bytes of memory.</summary>
    public long Size => Overhead + (sizeof(float) * ((long)(Patches?.Length ?? 0) + (Pooled?.Length ?? 0) + (Mean?.Length ?? 0)));

    /// <param name="embeddings">Of a forward pass.</param>
    /// <param name="outputs">Those that were computed.</param>
    /// <param name="index">The image in it.</param>
    public static CachedEmbedding From(SiglipImageEmbeddings embeddings, SiglipEmbeddingOutputs outputs, int index)
    {
        return new CachedEmbedding(embeddings.PatchGrids[index], Copy(SiglipEmbeddingOutputs.PatchEmbeddings), Copy(SiglipEmbeddingOutputs.PooledEmbedding),
            Copy(SiglipEmbeddingOutputs.MeanPatchEmbedding));

        float[]? Copy(SiglipEmbeddingOutputs output) => outputs.HasFlag(output) ? embeddings.Get(output, index).ToArray() : null;
    }

    public bool Has(SiglipEmbeddingOutputs outputs) => (Patches is not null || !outputs.HasFlag(SiglipEmbeddingOutputs.PatchEmbeddings))
        && (Pooled is not null || !outputs.HasFlag(SiglipEmbeddingOutputs.PooledEmbedding))
        && (Mean is not null || !outputs.HasFlag(SiglipEmbeddingOutputs.MeanPatchEmbedding));

    /// <param name="output">One that it has.</param>
    public float[] Get(SiglipEmbeddingOutputs output) => output switch
    {
        SiglipEmbeddingOutputs.PatchEmbeddings => Patches!,
        SiglipEmbeddingOutputs.PooledEmbedding => Pooled!,
        _ => Mean!,
    };

    /// <summary>What either has; where both have it, this one's.</summary>
    public CachedEmbedding With(CachedEmbedding other) =>
        this with { Patches = Patches ?? other.Patches, Pooled = Pooled ?? other.Pooled, Mean = Mean ?? other.Mean };
}
