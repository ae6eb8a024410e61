namespace Siglip.Cli;

/// <summary>A row of <c>metrics.csv</c> and a line of <c>metrics.jsonl</c>, in snake case.</summary>
/// <param name="Epoch">From 1.</param>
/// <param name="Step">Number of steps done, over all epochs.</param>
/// <param name="Loss">Mean over this epoch's images so far.</param>
/// <param name="Accuracy">Over this epoch's images so far, 0 to 1.</param>
/// <param name="LearningRate">Of the step.</param>
/// <param name="ImagesPerSecond">Over the whole run so far; null if it cannot be said.</param>
/// <param name="Seconds">Of the training, over all runs.</param>
/// <param name="ValidationLoss">At the end of an epoch, if there are validation images; null, too, if it is not finite.</param>
/// <param name="ValidationAccuracy">At the end of an epoch, if there are validation images; 0 to 1.</param>
internal sealed record TrainingMetrics(
    int Epoch, int Step, double Loss, double Accuracy, double LearningRate, double? ImagesPerSecond, double Seconds, double? ValidationLoss, double? ValidationAccuracy);
