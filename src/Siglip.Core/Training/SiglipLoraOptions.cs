namespace Siglip.Core;

/// <summary>Low-rank additions to a model's weight matrices, which are trained in place of them.</summary>
/// <remarks>Source: "LoRA: Low-Rank Adaptation of Large Language Models", 2021; names and defaults are those of the library peft.</remarks>
public sealed record SiglipLoraOptions
{
    /// <summary>Rank of the additions. At least 1, at most the model's hidden size; the default is 8.</summary>
    public int Rank { get; init; } = 8;

    /// <summary>An addition counts with this, divided by the rank. Above 0; the default is 16.</summary>
    public double Alpha { get; init; } = 16;

    /// <summary>Share of an addition's inputs that are dropped at random in training. From 0 to below 1; the default is 0.</summary>
    public double Dropout { get; init; }

    /// <summary>The matrices of each encoder layer that get an addition. At least one; the default is all.</summary>
    public SiglipLoraTargets Targets { get; init; } = SiglipLoraTargets.All;

    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Rank, 1);
        Require(Alpha > 0 && double.IsFinite(Alpha), Alpha, nameof(Alpha), "a finite number above 0");
        Require(Dropout is >= 0 and < 1, Dropout, nameof(Dropout), "a number from 0 to below 1");
        Require(Targets != 0 && (Targets & ~SiglipLoraTargets.All) == 0, Targets, nameof(Targets), "one or more of the matrices of a layer");
    }

    private static void Require(bool condition, object value, string name, string expected)
    {
        if (!condition)
            throw new ArgumentOutOfRangeException(name, value, $"Expected {expected}.");
    }
}
