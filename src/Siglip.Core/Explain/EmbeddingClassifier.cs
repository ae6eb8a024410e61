using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>A linear classifier on an embedding: that of a checkpoint, or one that was trained on embeddings.</summary>
/// <param name="Labels">The classes' names.</param>
/// <param name="Weight">[labels, length of the embedding], row-major.</param>
/// <param name="Bias">[labels].</param>
/// <param name="Embedding">What it classifies; one flag.</param>
internal sealed record EmbeddingClassifier(IReadOnlyList<string> Labels, float[] Weight, float[] Bias, SiglipEmbeddingOutputs Embedding)
{
    /// <summary>Computes the logits of one image.</summary>
    /// <param name="last">The last hidden state [1, patches, hidden].</param>
    /// <param name="pooled">The pooled embedding [1, hidden]; null if the model has none.</param>
    /// <param name="normalize">Whether embeddings are scaled to length 1 first.</param>
    /// <returns>float32 [labels].</returns>
    public Tensor Logits(Tensor last, Tensor? pooled, bool normalize)
    {
        Tensor embedding = Embedding switch
        {
            SiglipEmbeddingOutputs.PooledEmbedding => pooled!,
            SiglipEmbeddingOutputs.MeanPatchEmbedding => last.mean([1]),
            _ => last,
        };
        embedding = embedding.to(float32);
        if (normalize)
            embedding = nn.functional.normalize(embedding, dim: -1);
        embedding = embedding.flatten(); // [length]
        long length = Weight.Length / Labels.Count;
        Tensor weight = tensor(Weight, [Labels.Count, length]).clone().to(last.device);
        weight = weight.narrow(1, 0, embedding.shape[0]); // where there are patches: padding, which the image does not have, would be zeros
        return weight.matmul(embedding) + tensor(Bias).clone().to(last.device);
    }

    /// <summary>The place of a label.</summary>
    /// <exception cref="ArgumentException">There is none of that name.</exception>
    public int IndexOf(string label)
    {
        for (int i = 0; i < Labels.Count; i++)
        {
            if (Labels[i] == label)
                return i;
        }

        const int Shown = 20;
        throw new ArgumentException($"There is no label '{label}'; the labels are {string.Join(", ", Labels.Take(Shown))}"
            + (Labels.Count > Shown ? $" and {Labels.Count - Shown} more." : "."));
    }
}
