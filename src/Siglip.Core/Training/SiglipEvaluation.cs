namespace Siglip.Core;

/// <summary>How well a classifier does on images whose classes are known.</summary>
/// <param name="Labels">The classes' names.</param>
/// <param name="Confusion">Number of images by actual class (outer) and predicted class (inner).</param>
/// <param name="Loss">Mean cross-entropy.</param>
public sealed record SiglipEvaluation(IReadOnlyList<string> Labels, IReadOnlyList<IReadOnlyList<int>> Confusion, double Loss)
{
    /// <summary>Number of images.</summary>
    public int Count => Confusion.Sum(row => row.Sum());

    /// <summary>Share of images with the right class, 0 to 1.</summary>
    public double Accuracy => (double)Confusion.Select((row, label) => row[label]).Sum() / Math.Max(1, Count);

    /// <summary>Share of a class's images that were recognized, 0 to 1; NaN if there are none.</summary>
    public double AccuracyOf(int label) => (double)Confusion[label][label] / Confusion[label].Sum();
}
