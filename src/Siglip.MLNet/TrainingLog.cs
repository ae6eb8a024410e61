using System.Diagnostics;
using System.Globalization;
using Microsoft.ML.Runtime;
using Siglip.Core;

namespace Siglip.MLNet;

/// <summary>What a training says of itself in ML.NET's log: each epoch, and progress now and then.</summary>
/// <remarks>Messages only: of a progress channel an MLContext keeps every event, and what it refers to, as long as it lives.</remarks>
/// <param name="host">Whose log it is; if its context is cancelled, so is the training.</param>
/// <param name="next">Is told as well; null for nobody.</param>
internal sealed class TrainingLog(IHost host, IProgress<SiglipTrainingProgress>? next) : IProgress<SiglipTrainingProgress>, IDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    private readonly IChannel _channel = host.Start("SigLIP training");
    private readonly long _start = Stopwatch.GetTimestamp();
    private long _lastMessage = Stopwatch.GetTimestamp();
    private SiglipTrainingProgress? _last;

    public void Begin(string model, long parameters, ILabeledImages training, ILabeledImages? validation, string device) =>
        _channel.Info(Text($"Training '{model}', {parameters / 1e6:N1} million parameters, with {training.Count:N0} images of {training.Labels.Count:N0} classes")
            + Text($", {validation?.Count ?? 0:N0} more to measure with, on {device}."));

    public void Warn(FormattableString text) => _channel.Warning(Text(text));

    /// <exception cref="OperationCanceledException">The context is cancelled.</exception>
    public void Report(SiglipTrainingProgress progress)
    {
        _last = progress;
        long now = Stopwatch.GetTimestamp();
        if (progress.EndOfEpoch || Stopwatch.GetElapsedTime(_lastMessage, now) >= Interval)
        {
            _lastMessage = now;
            _channel.Info(Describe(progress));
        }

        next?.Report(progress);
        host.CheckAlive();
    }

    /// <summary>Says that the training is complete, also if it was before it began.</summary>
    public void End()
    {
        if (_last is null)
        {
            _channel.Info("Nothing was left to train: Training.Resume is set, and the state in Training.StatePath is that of the end of this training.");
            return;
        }

        string best = _last.BestEpoch is { } epoch ? Text($"; the model has the weights of epoch {epoch}, which had the lowest validation loss") : "";
        _channel.Info(Text($"Trained {_last.Step:N0} steps in {Stopwatch.GetElapsedTime(_start).TotalSeconds:N2} s{best}."));
        if (_last.SkippedImages > 0)
            Warn($"{_last.SkippedImages:N0} images could not be read, and were left out of the training.");
    }

    public void Dispose() => _channel.Dispose();

    private static string Describe(SiglipTrainingProgress progress)
    {
        string step = progress.EndOfEpoch ? "" : Text($", step {progress.Step:N0} of {progress.Steps:N0}");
        string left = progress.Step == progress.Steps ? "" : Text($", about {progress.TimeLeft.TotalSeconds:N0} s left");
        string validation = progress.Validation is { } measured ? Text($"; validation: loss {measured.Loss:N3}, accuracy {measured.Accuracy:N3}") : "";
        return Text($"Epoch {progress.Epoch} of {progress.Epochs}{step}: loss {progress.Loss:N3}, accuracy {progress.Accuracy:N3}, learning rate {progress.LearningRate:G3}, ")
            + Text($"{progress.ImagesPerSecond:N1} images/s{left}{validation}.");
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
