namespace Siglip.Cli;

/// <summary>Gives images labels.</summary>
internal interface IImageClassifier : IDisposable
{
    /// <summary>The classes, in the order of the probabilities.</summary>
    IReadOnlyList<string> Labels { get; }

    /// <summary>Classifies images, in batches, in their order.</summary>
    /// <returns>The label and the probabilities of each image; a null label, and why in one sentence, if there are none.</returns>
    IEnumerable<(string? Label, float[] Probabilities, string? Fault)> Classify(IReadOnlyList<string> paths);
}
