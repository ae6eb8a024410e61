using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.VectorData.ProviderServices;

namespace Siglip.Extensions.AI.Tests.VectorStores;

/// <summary>Reads a record's properties as the providers of vector stores do; vectors are arrays of float.</summary>
internal sealed class InMemoryModelBuilder() : CollectionModelBuilder(new() { SupportsMultipleVectors = false, RequiresAtLeastOneVector = true })
{
    protected override bool IsDataPropertyTypeValid(Type type, [NotNullWhen(false)] out string? supportedTypes)
    {
        supportedTypes = "string";
        return type == typeof(string);
    }

    protected override bool IsVectorPropertyTypeValid(Type type, [NotNullWhen(false)] out string? supportedTypes)
    {
        supportedTypes = "Embedding<float>, ReadOnlyMemory<float>";
        return type == typeof(Microsoft.Extensions.AI.Embedding<float>) || type == typeof(ReadOnlyMemory<float>);
    }
}
