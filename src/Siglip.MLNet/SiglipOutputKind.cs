namespace Siglip.MLNet;

/// <summary>Which embedding of an image becomes a column.</summary>
/// <remarks>
/// <format type="text/markdown"><![CDATA[
/// | kind | data type | in transformers | for |
/// | -- | -- | -- | -- |
/// | PooledEmbedding | Vector of <xref:System.Single>, [hidden] | `pooler_output` | classifiers, similar images |
/// | MeanPatchEmbedding | Vector of <xref:System.Single>, [hidden] | `last_hidden_state.mean(1)` | classifiers; models without a pooling head |
/// | PatchEmbeddings | Vector of <xref:System.Single>, [patches, hidden] | `last_hidden_state` | where in the image something is |
/// | PatchCount | <xref:System.Single> | `pixel_attention_mask.sum(1)` | NaFlex: how many of the patches are the image's |
/// | PatchGrid | Vector of <xref:System.Single>, [2] | `spatial_shapes` | rows and columns of the patches |
///
/// [Which output, which trainer](~/docs/ml-net/README.md) has advice with figures.
/// ]]>
/// </format>
/// </remarks>
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
