namespace Siglip.Cli;

/// <summary>What a saved model reads.</summary>
internal sealed class ImageRow
{
    public string ImagePath { get; set; } = "";

    /// <summary>For models that were saved with the steps that need it; it does not influence the prediction.</summary>
    public string Label { get; set; } = "";
}
