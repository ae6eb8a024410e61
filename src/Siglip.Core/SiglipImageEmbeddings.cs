namespace Siglip.Core;

/// <summary>The embeddings of a batch of images, one after the other in flat row-major arrays.</summary>
/// <param name="Count">Number of images.</param>
/// <param name="PatchEmbeddings">[count, patches, hidden]; null unless asked for.</param>
/// <param name="PooledEmbeddings">[count, hidden]; null unless asked for.</param>
/// <param name="MeanPatchEmbeddings">[count, hidden]; null unless asked for.</param>
public sealed record SiglipImageEmbeddings(int Count, float[]? PatchEmbeddings, float[]? PooledEmbeddings, float[]? MeanPatchEmbeddings)
{
    /// <summary>One output of one image.</summary>
    /// <param name="output">A single flag.</param>
    /// <param name="index">The image, from 0.</param>
    /// <exception cref="ArgumentException">The output was not asked for, or it is no single flag.</exception>
    public ReadOnlySpan<float> Get(SiglipEmbeddingOutputs output, int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
        float[] values = Values(output);
        int length = values.Length / Count;
        return values.AsSpan(index * length, length);
    }

    /// <summary>One output of all images.</summary>
    /// <param name="output">A single flag.</param>
    /// <returns>[count, hidden], or [count, patches, hidden], row-major.</returns>
    /// <exception cref="ArgumentException">The output was not asked for, or it is no single flag.</exception>
    public float[] Values(SiglipEmbeddingOutputs output) => output switch
    {
        SiglipEmbeddingOutputs.PatchEmbeddings => PatchEmbeddings,
        SiglipEmbeddingOutputs.PooledEmbedding => PooledEmbeddings,
        SiglipEmbeddingOutputs.MeanPatchEmbedding => MeanPatchEmbeddings,
        _ => null,
    } ?? throw new ArgumentException($"{output} is not among the outputs of this batch.", nameof(output));
}
