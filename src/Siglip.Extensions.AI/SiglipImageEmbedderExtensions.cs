using Siglip.Core;
using Siglip.Extensions.AI;

#pragma warning disable IDE0130 // In the namespace of the interface, so that it is found where users look.
namespace Microsoft.Extensions.AI;

/// <summary>SigLIP embedders as embedding generators.</summary>
public static class SiglipImageEmbedderExtensions
{
    /// <summary>An embedding generator over an embedder, which stays open when the generator is disposed.</summary>
    /// <param name="embedder">The embedder; its output is the pooled or the mean patch embedding.</param>
    /// <param name="modelId">What the generator calls the model; null for no name.</param>
    /// <exception cref="ArgumentException">The embedder's output is patch embeddings, which are many vectors for an image.</exception>
    public static SiglipEmbeddingGenerator AsIEmbeddingGenerator(this SiglipImageEmbedder embedder, string? modelId = null) =>
        new(embedder, leaveOpen: true, modelId);
}
