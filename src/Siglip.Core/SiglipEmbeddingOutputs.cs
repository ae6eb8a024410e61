namespace Siglip.Core;

/// <summary>The embeddings that one forward pass can give; flags may be combined.</summary>
[Flags]
public enum SiglipEmbeddingOutputs
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>One embedding for each patch (<c>last_hidden_state</c>): [patches, hidden].</summary>
    PatchEmbeddings = 1,

    /// <summary>The pooling head's embedding of the whole image (<c>pooler_output</c>): [hidden].</summary>
    PooledEmbedding = 2,

    /// <summary>The mean of the patches' embeddings: [hidden].</summary>
    MeanPatchEmbedding = 4,
}
