namespace Siglip.Core;

/// <summary>How a model is loaded.</summary>
public sealed record SiglipLoadOptions
{
    /// <summary>Where the model computes: <c>cpu</c> (the default), <c>cuda</c> or <c>cuda:1</c>.</summary>
    public string Device { get; init; } = "cpu";

    /// <summary>The floating-point type of the parameters, in which the model computes. The default is <see cref="SiglipPrecision.Float32"/>.</summary>
    public SiglipPrecision Precision { get; init; }

    /// <summary>For a model of the Hugging Face hub: a branch, a tag or a commit. The default, null, means that in the model's name, or main.</summary>
    public string? Revision { get; init; }

    /// <summary>Whether a model of the Hugging Face hub is taken from the cache only. The default, false, means that the environment decides
    /// (<c>HF_HUB_OFFLINE</c>).</summary>
    public bool Offline { get; init; }
}
