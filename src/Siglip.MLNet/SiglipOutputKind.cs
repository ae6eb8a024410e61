namespace Siglip.MLNet;

/// <summary>Which embedding of an image becomes a column.</summary>
public enum SiglipOutputKind
{
    /// <summary>One embedding for each patch (<c>last_hidden_state</c>): a float vector with dimensions [patches, hidden].</summary>
    PatchEmbeddings = 0,

    /// <summary>The pooling head's embedding of the whole image (<c>pooler_output</c>): a float vector [hidden].</summary>
    PooledEmbedding = 1,

    /// <summary>The mean of the patches' embeddings: a float vector [hidden].</summary>
    MeanPatchEmbedding = 2,
}
