using System.Globalization;

namespace Siglip.Core;

/// <summary>How far a model's parameters are from the classifier, by their names.</summary>
/// <remarks>Source: "BEiT: BERT Pre-Training of Image Transformers", 2021, and timm, which number the layers the other way round.</remarks>
internal static class WeightDepth
{
    private const string Layers = ExpectedTensors.Prefix + "encoder.layers.";

    /// <summary>0 for the classifier; 1 for the pooling head, the final layer norm and the last layer; one more for each layer before it; layers + 1 for the
    /// embeddings.</summary>
    /// <param name="name">Of a parameter of a <see cref="SiglipForImageClassification"/>.</param>
    /// <param name="layers">Number of its encoder layers.</param>
    public static int Of(string name, int layers) =>
        name.StartsWith("classifier.", StringComparison.Ordinal) ? 0
        : IsOfLayer(name) ? layers - int.Parse(name[Layers.Length..].Split('.')[0], CultureInfo.InvariantCulture)
        : name.StartsWith(ExpectedTensors.Prefix + "embeddings.", StringComparison.Ordinal) ? layers + 1
        : 1;

    public static bool IsOfLayer(string name) => name.StartsWith(Layers, StringComparison.Ordinal);
}
