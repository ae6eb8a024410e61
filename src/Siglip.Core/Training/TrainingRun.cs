using System.Diagnostics;

namespace Siglip.Core;

/// <summary>A training from its first step, or from a saved state, to its last.</summary>
/// <param name="model">The model that is trained.</param>
/// <param name="step">Trains it.</param>
/// <param name="options">How.</param>
/// <param name="stepsPerEpoch">Number of steps of an epoch.</param>
/// <param name="training">What it learns from.</param>
/// <param name="validation">What it measures with; null for nothing.</param>
/// <param name="evaluate">Measures the model.</param>
/// <param name="progress">Is told of every step.</param>
internal sealed class TrainingRun(
    SiglipForImageClassification model, TrainingStep step, SiglipTrainingOptions options, int stepsPerEpoch, ITrainingSource training,
    ITrainingSource? validation, Func<ITrainingSource, SiglipEvaluation> evaluate, IProgress<SiglipTrainingProgress>? progress)
{
    private readonly TrainingState _state = new(model, step, options, training, validation?.Count);
    private readonly LearningRateSchedule _schedule = new(options, stepsPerEpoch);
    private readonly Stopwatch _clock = new();
    private readonly int _steps = stepsPerEpoch * options.Epochs;
    private TrainingPosition _position = TrainingPosition.Start;
    private int _stepsBefore;
    private long _imagesSeen;

    public void Run(CancellationToken cancellationToken)
    {
        if (options.StatePath is { } path)
        {
            StagedFiles.CheckWritable(path);
            StagedFiles.DeleteLeftovers(path); // of a training that was killed while it saved
            if (options.Resume && File.Exists(path))
                _position = _state.Load(path, _steps);
            else
                Save(); // there is a state from the first step on, and a disk without room for it is found before
        }

        _stepsBefore = step.Done;
        try
        {
            while (_position.Epoch <= options.Epochs && !IsStopped())
            {
                TrainEpoch(cancellationToken);
                _position = TrainingPosition.AtEpoch(_position.Epoch + 1);
                Save();
            }
        }
        catch (OperationCanceledException) when (step.Saved != step.Done)
        {
            Save();
            throw;
        }
    }

    // Counted from the epochs, so that one that is measured again after an interruption counts once.
    private bool IsStopped() => step.Best is { } best && _position.Epoch - 1 - best.Epoch >= options.EarlyStoppingPatience;

    private void TrainEpoch(CancellationToken cancellationToken)
    {
        training.Prepare(cancellationToken); // which the speed of the steps has nothing to do with
        _clock.Start();
        using IEnumerator<TrainingBatch> batches = training.Batches(_position.Epoch, _position.Batch, cancellationToken).GetEnumerator();
        bool more = batches.MoveNext();
        if (!more && _position.Batch > 0)
            EndEpoch(); // it was stopped between the last step and the end
        try
        {
            while (more)
                more = TrainStep(batches, cancellationToken);
        }
        finally
        {
            if (more) // stopped by an exception
                batches.Current.Dispose();
        }

        _clock.Stop();
    }

    /// <summary>Does a step, and what follows it.</summary>
    /// <param name="batches">Stands on the step's first batch; afterwards on that of the next step, if there is one.</param>
    /// <param name="cancellationToken">Ends it before it begins.</param>
    /// <returns>Whether there is a next step in this epoch.</returns>
    private bool TrainStep(IEnumerator<TrainingBatch> batches, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        (int parts, int images, bool more) = (0, 0, true);
        step.Begin(_schedule.At(step.Done), options.PatchDropoutIn(_position.Epoch));
        for (; more && parts < options.GradientAccumulation; more = batches.MoveNext())
        {
            using TrainingBatch batch = batches.Current;
            step.Accumulate(batch);
            parts++;
            images += batch.Count;
        }

        double loss = step.Finish();
        _position = _position with
        {
            Batch = _position.Batch + parts,
            Images = _position.Images + images,
            LossSum = _position.LossSum + (loss * images),
            Right = _position.Right + step.Right,
        };
        _imagesSeen += images;
        _clock.Stop();
        if (!more)
            EndEpoch();
        else
            EndStep();
        _clock.Start();
        return more;
    }

    private void EndStep()
    {
        progress?.Report(Progress(evaluation: null, endOfEpoch: false));
        if (options.StateInterval > 0 && step.Done % options.StateInterval == 0)
            Save();
    }

    private void EndEpoch()
    {
        step.Show();
        try
        {
            SiglipEvaluation? evaluation = validation is null ? null : evaluate(validation);
            step.Best?.Offer(_position.Epoch, evaluation!.Loss);
            progress?.Report(Progress(evaluation, endOfEpoch: true));
        }
        finally
        {
            step.Hide();
        }
    }

    private void Save()
    {
        if (options.StatePath is null)
            return;
        _state.Save(options.StatePath, _position);
    }

    private SiglipTrainingProgress Progress(SiglipEvaluation? evaluation, bool endOfEpoch)
    {
        int stepsNow = Math.Max(1, step.Done - _stepsBefore); // without those before the training was resumed, which took no time here
        return new SiglipTrainingProgress(
            _position.Epoch, options.Epochs, step.Done, _steps, _position.LossSum / _position.Images,
            (double)_position.Right / _position.Images, _schedule.At(step.Done - 1), _imagesSeen / _clock.Elapsed.TotalSeconds, _clock.Elapsed / stepsNow * (_steps - step.Done), evaluation, endOfEpoch,
            training.SkippedImages.Count, step.Best is { Epoch: > 0 } best ? best.Epoch : null);
    }
}
