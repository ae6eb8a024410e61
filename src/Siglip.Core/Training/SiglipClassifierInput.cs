namespace Siglip.Core;

/// <summary>Of which embedding of an image the loss has the classifier tell the class.</summary>
public enum SiglipClassifierInput
{
    /// <summary>Both: the loss is the mean of two terms with the same classifier, so that the pooling head is trained, too.</summary>
    MeanAndPooled = 0,

    /// <summary>The mean of the patch embeddings, as transformers' SiglipForImageClassification does; the pooling head is not trained.</summary>
    Mean = 1,

    /// <summary>The pooled embedding. The classifier of such a model is for the pooled embedding; transformers, and this library's own
    /// <see cref="SiglipForImageClassification"/>, give it the mean of the patch embeddings.</summary>
    Pooled = 2,
}
