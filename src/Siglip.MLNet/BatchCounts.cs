namespace Siglip.MLNet;

/// <summary>What became of the images of one batch, or of several.</summary>
/// <param name="Images">Number of rows.</param>
/// <param name="Passes">Number of forward passes.</param>
/// <param name="Embedded">Images in these.</param>
/// <param name="Found">Rows whose image was in the cache, or earlier in the batch.</param>
/// <param name="Bad">Rows whose image cannot be read.</param>
/// <param name="FirstBad">Row and reason of the first of these; null if there is none.</param>
internal readonly record struct BatchCounts(long Images, long Passes, long Embedded, long Found, long Bad, string? FirstBad)
{
    public static BatchCounts operator +(BatchCounts one, BatchCounts other) => new(one.Images + other.Images, one.Passes + other.Passes,
        one.Embedded + other.Embedded, one.Found + other.Found, one.Bad + other.Bad, one.FirstBad ?? other.FirstBad);
}
