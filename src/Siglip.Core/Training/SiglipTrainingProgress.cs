namespace Siglip.Core;

/// <summary>How far a training run is.</summary>
/// <param name="Epoch">The epoch, from 1.</param>
/// <param name="Epochs">All epochs.</param>
/// <param name="Step">The step that was just done, from 1, counted over all epochs.</param>
/// <param name="Steps">All steps.</param>
/// <param name="Loss">Mean loss over this epoch so far.</param>
/// <param name="Accuracy">Share of this epoch's images so far, 0 to 1, whose class the classifier told, before the step that learned from them; of a mixed
/// image, the class with the larger share.</param>
/// <param name="LearningRate">The learning rate of the step.</param>
/// <param name="ImagesPerSecond">Training images per second, over the whole run so far.</param>
/// <param name="TimeLeft">Estimate for the remaining steps.</param>
/// <param name="Validation">Set at the end of an epoch, if there are validation images.</param>
/// <param name="EndOfEpoch">Whether this step was the epoch's last.</param>
/// <param name="SkippedImages">Number of training images that could not be read, and were left out (<see cref="SiglipTrainingOptions.SkipBadImages"/>).</param>
/// <param name="BestEpoch">With <see cref="SiglipTrainingOptions.EarlyStoppingPatience"/>: the epoch with the lowest validation loss so far, if there is one.</param>
public sealed record SiglipTrainingProgress(
    int Epoch, int Epochs, int Step, int Steps, double Loss, double Accuracy, double LearningRate, double ImagesPerSecond, TimeSpan TimeLeft,
    SiglipEvaluation? Validation, bool EndOfEpoch, int SkippedImages, int? BestEpoch);
