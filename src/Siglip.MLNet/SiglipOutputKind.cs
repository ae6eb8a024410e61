namespace Siglip.MLNet;

/// <summary>Which embedding of an image becomes a column.</summary>
public enum SiglipOutputKind
{
    /// <summary>One embedding for each patch (<c>last_hidden_state</c>): a float vector with dimensions [patches, hidden]. Of a model with variable
    /// resolution (NaFlex) [most patches, hidden]: an image with fewer has zeros after them, and <see cref="PatchCount"/> says how many it has.</summary>
    PatchEmbeddings = 0,

    /// <summary>The pooling head's embedding of the whole image (<c>pooler_output</c>): a float vector [hidden].</summary>
    PooledEmbedding = 1,

    /// <summary>The mean of the patches' embeddings: a float vector [hidden].</summary>
    MeanPatchEmbedding = 2,

    /// <summary>The number of the image's patches: a float.</summary>
    PatchCount = 3,

    /// <summary>Rows and columns of the image's patches (<c>spatial_shapes</c>): a float vector [2].</summary>
    PatchGrid = 4,
}
