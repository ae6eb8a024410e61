namespace Siglip.Core;

/// <summary>Where training batches come from: the same seed, epoch and batch size give the same batches, whatever the number of workers.</summary>
internal interface ITrainingSource
{
    /// <summary>Images of an epoch.</summary>
    int Count { get; }

    /// <summary>The classes' names, in the order of the targets.</summary>
    IReadOnlyList<string> Labels { get; }

    /// <summary>What was wrong with each image that was left out up to now.</summary>
    IReadOnlyCollection<string> SkippedImages { get; }

    /// <summary>Does what has to be done once before the first batch and takes time.</summary>
    void Prepare(CancellationToken cancellationToken)
    {
    }

    /// <summary>Batches of an epoch from a batch on, so that a resumed run can go on in the middle of one. The caller disposes each.</summary>
    /// <param name="epoch">From 1.</param>
    /// <param name="firstBatch">From 0.</param>
    /// <param name="cancellationToken">Ends it before the next batch.</param>
    IEnumerable<TrainingBatch> Batches(int epoch, int firstBatch, CancellationToken cancellationToken);
}
