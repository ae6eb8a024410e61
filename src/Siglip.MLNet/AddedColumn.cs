using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;

namespace Siglip.MLNet;

/// <summary>A column that is added to an input: what is computed of the images in one of the input's columns.</summary>
internal abstract class AddedColumn(string name)
{
    public string Name => name;

    public abstract DataViewType Type { get; }

    /// <summary>The embeddings that the values are made of.</summary>
    public abstract SiglipEmbeddingOutputs Embeddings { get; }

    /// <summary>What messages call a value, in the singular.</summary>
    public abstract string ValueName { get; }

    /// <summary>The column's annotations; null if there are none.</summary>
    public virtual DataViewSchema.Annotations? AnnotationsAfter(DataViewSchema input) => null;

    /// <summary>A getter of the values.</summary>
    /// <param name="images">The row's batch, which is computed.</param>
    /// <param name="slot">Gives the place in the batch of the row that the consumer stands on.</param>
    /// <returns>It throws what <see cref="ImageBatch.EmbeddingOf"/> does.</returns>
    public abstract Delegate CreateGetter(ImageBatch images, Func<int> slot);
}
