using Microsoft.Extensions.AI;
using Microsoft.Extensions.VectorData;

namespace Siglip.Extensions.AI.Tests.Documentation;

// begin-snippet: record
public sealed class Photo
{
    [VectorStoreKey]
    public string Path { get; set; } = "";

    [VectorStoreData]
    public string Label { get; set; } = "";

    [VectorStoreVector(128, DistanceFunction = DistanceFunction.CosineSimilarity)] // as many as the model's embeddings have values
    public DataContent? Image { get; set; }
}
// end-snippet
