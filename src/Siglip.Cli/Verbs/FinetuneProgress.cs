using System.Diagnostics;
using System.Globalization;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary>Shows a training, and keeps what is worth keeping of it: metrics, curves, and the model after each epoch.</summary>
/// <param name="display">Shows it.</param>
/// <param name="log">Gets a row every <paramref name="interval"/> steps, and at the end of an epoch.</param>
/// <param name="interval">Steps between two rows.</param>
/// <param name="stateInterval">Steps between two states; what is before one is to be in the files.</param>
/// <param name="save">Saves the model.</param>
internal sealed class FinetuneProgress(IProgress<ProgressState> display, TrainingLog log, int interval, int stateInterval, Action save) : IProgress<SiglipTrainingProgress>
{
    private static readonly TimeSpan BetweenPictures = TimeSpan.FromSeconds(30);
    private long? _lastPicture;

    /// <summary>The epoch of the model that was saved last; 0 for none.</summary>
    public int SavedEpoch { get; private set; }

    /// <summary>How well the model does that the training ends with; null if that is not known.</summary>
    public SiglipEvaluation? Evaluation { get; private set; }

    /// <summary>How fast the training was at last.</summary>
    public double ImagesPerSecond { get; private set; }

    public void Report(SiglipTrainingProgress value)
    {
        ImagesPerSecond = value.ImagesPerSecond;
        display.Report(new ProgressState(value.Step, value.Steps, Describe(value), value.EndOfEpoch));
        if (value.EndOfEpoch || value.Step % interval == 0)
            log.Add(value);
        if (value.EndOfEpoch || (stateInterval > 0 && value.Step % stateInterval == 0))
            log.Save();
        if (value.EndOfEpoch)
            EndEpoch(value);
    }

    private void EndEpoch(SiglipTrainingProgress value)
    {
        if (_lastPicture is not { } last || Stopwatch.GetElapsedTime(last) > BetweenPictures)
        {
            _lastPicture = Stopwatch.GetTimestamp();
            log.SaveCurves();
        }

        if (value.BestEpoch is { } best && best != value.Epoch)
            return; // it ends with an earlier one
        Evaluation = value.Validation;
        if (value.Epoch == value.Epochs || value.Validation is { Loss: not (> double.NegativeInfinity and < double.PositiveInfinity) })
            return; // saved when all is done; or no model to replace a good one by
        save();
        SavedEpoch = value.Epoch;
    }

    private static string Describe(SiglipTrainingProgress value) => string.Create(CultureInfo.InvariantCulture,
        $"epoch {value.Epoch}/{value.Epochs} loss {value.Loss:F3} accuracy {value.Accuracy:P1} lr {value.LearningRate:G3} {value.ImagesPerSecond:F0} images/s {ProgressState.Text(value.TimeLeft)} left")
        + (value.Validation is { } evaluation ? string.Create(CultureInfo.InvariantCulture, $" held-out loss {evaluation.Loss:F3} accuracy {evaluation.Accuracy:P1}") : "");
}
