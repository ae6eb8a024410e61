namespace Siglip.Core;

/// <summary>How far a training is.</summary>
/// <param name="Epoch">The epoch that goes on, from 1; one more than there are at the end.</param>
/// <param name="Batch">Number of its batches that are done.</param>
/// <param name="Images">Number of its images that are done.</param>
/// <param name="LossSum">Sum of their losses.</param>
/// <param name="Right">Number of them whose class the classifier told.</param>
internal sealed record TrainingPosition(int Epoch, int Batch, int Images, double LossSum, int Right)
{
    public static TrainingPosition Start { get; } = AtEpoch(1);

    public static TrainingPosition AtEpoch(int epoch) => new(epoch, 0, 0, 0, 0);
}
