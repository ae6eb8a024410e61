using System.Diagnostics;
using System.Globalization;
using Microsoft.ML.Runtime;

namespace Siglip.MLNet;

/// <summary>What a cursor says of its work in ML.NET's log: each batch (trace), progress now and then, and a summary.</summary>
/// <remarks>Messages only: of a progress channel an MLContext keeps every event, and what it refers to, as long as it lives.</remarks>
/// <param name="transformer">Whose model computes.</param>
/// <param name="valueName">What is computed of an image.</param>
/// <param name="total">Number of rows, if known.</param>
/// <param name="computes">Called at the first forward pass, unless there is a cache.</param>
internal sealed class CursorLog(SiglipImageFeaturizingTransformer transformer, string valueName, long? total, Action computes) : IDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    private readonly long _start = Stopwatch.GetTimestamp();
    private IChannel? _channel; // opened by the first batch
    private BatchCounts _counts;
    private long _lastBatch;
    private long _lastProgress;

    /// <summary>Called after each batch.</summary>
    public void Add(BatchCounts batch)
    {
        if (_channel is null)
        {
            _channel = transformer.Host.Start("SigLIP embeddings");
            _lastBatch = _lastProgress = _start;
        }

        if (batch.Passes > 0 && _counts.Passes == 0 && transformer.FindCache() is null)
            computes();
        if (batch.Bad > 0 && _counts.Bad == 0 && transformer.Settings.BadImages == BadImageHandling.Throw)
            _channel.Warning($"{batch.FirstBad} Reading its {valueName} throws."); // ML.NET's caches and shuffling steps hide the exception in others
        _counts += batch;
        long now = Stopwatch.GetTimestamp();
        _channel.Trace(Text($"{batch.Images} images in {Stopwatch.GetElapsedTime(_lastBatch, now).TotalMilliseconds:N0} ms: {Parts(batch)}."));
        _lastBatch = now;
        if (Stopwatch.GetElapsedTime(_lastProgress, now) < Interval)
            return;
        _lastProgress = now;
        double seconds = Stopwatch.GetElapsedTime(_start, now).TotalSeconds;
        double rate = _counts.Images / seconds;
        string left = total is { } all && all > _counts.Images ? Text($", about {(all - _counts.Images) / rate:N0} s left") : "";
        _channel.Info(Text($"{_counts.Images:N0}{(total is null ? "" : Text($" of {total:N0}"))} images, {rate:N1} images/s{left}."));
    }

    /// <summary>Writes the summary, if there was a batch.</summary>
    public void Dispose()
    {
        if (_channel is null)
            return;
        double seconds = Stopwatch.GetElapsedTime(_start).TotalSeconds;
        _channel.Info(Text($"{_counts.Images:N0} images in {seconds:N2} s, {_counts.Images / seconds:N1} images/s: {Parts(_counts)}, on {transformer.Device}."));
        if (_counts.Bad > 0 && transformer.Settings.BadImages == BadImageHandling.Missing)
            _channel.Warning(Text($"{_counts.Bad:N0} of {_counts.Images:N0} images cannot be read, their {valueName}s are NaN. The first: {_counts.FirstBad}"));
        _channel.Dispose();
        _channel = null;
    }

    private static string Parts(BatchCounts counts)
    {
        string text = counts.Passes == 1 ? Text($"{counts.Embedded:N0} in one forward pass") : Text($"{counts.Embedded:N0} in {counts.Passes:N0} forward passes");
        if (counts.Found > 0)
            text += Text($", {counts.Found:N0} from the embedding cache");
        return counts.Bad > 0 ? text + Text($", {counts.Bad:N0} bad") : text;
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
