namespace Siglip.Core;

/// <summary>The embeddings of a batch of images, one after the other in flat row-major arrays.</summary>
/// <param name="Count">Number of images.</param>
/// <param name="HiddenSize">Length of each embedding.</param>
/// <param name="PatchGrids">The patches of each image: all alike with fixed resolution, each image's own with variable resolution (NaFlex).</param>
/// <param name="PatchEmbeddings">[count, patches, hidden]; null unless asked for. With variable resolution, images with fewer patches than the most are
/// padded with zeros.</param>
/// <param name="PooledEmbeddings">[count, hidden]; null unless asked for.</param>
/// <param name="MeanPatchEmbeddings">[count, hidden]; null unless asked for.</param>
public sealed record SiglipImageEmbeddings(
    int Count, int HiddenSize, IReadOnlyList<SiglipPatchGrid> PatchGrids, float[]? PatchEmbeddings, float[]? PooledEmbeddings, float[]? MeanPatchEmbeddings)
{
    /// <summary>One output of one image, without padding.</summary>
    /// <param name="output">A single flag.</param>
    /// <param name="index">The image, from 0.</param>
    /// <returns>[hidden], or [patches, hidden] row-major, with as many patches as the image has.</returns>
    /// <exception cref="ArgumentException">The output was not asked for, or it is no single flag.</exception>
    public ReadOnlySpan<float> Get(SiglipEmbeddingOutputs output, int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
        float[] values = Values(output);
        int length = values.Length / Count;
        return values.AsSpan(index * length, output == SiglipEmbeddingOutputs.PatchEmbeddings ? PatchGrids[index].Count * HiddenSize : length);
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
