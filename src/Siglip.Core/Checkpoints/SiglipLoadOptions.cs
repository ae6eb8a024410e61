namespace Siglip.Core;

/// <summary>How a model is loaded.</summary>
public sealed record SiglipLoadOptions
{
    /// <summary>Where the model computes: <c>cpu</c> (the default), <c>cuda</c> or <c>cuda:1</c>.</summary>
    public string Device { get; init; } = "cpu";

    /// <summary>The floating-point type of the parameters, in which the model computes. The default is <see cref="SiglipPrecision.Float32"/>.</summary>
    public SiglipPrecision Precision { get; init; }
}
