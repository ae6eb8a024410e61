namespace Siglip.Core;

/// <summary>How a model is loaded.</summary>
public sealed record SiglipLoadOptions
{
    /// <summary>Where the model computes: <c>cpu</c> (the default), <c>cuda</c> or <c>cuda:1</c>.</summary>
    public string Device { get; init; } = "cpu";
}
