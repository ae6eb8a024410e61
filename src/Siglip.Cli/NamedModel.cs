using System.Diagnostics;
using System.Globalization;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary>Models by the names of a command line.</summary>
internal static class NamedModel
{
    /// <summary>Whether a name is that of a saved ML.NET model: a file, or one that should be there, as <c>models/photos.zip</c> has the form of an id, too.</summary>
    public static bool IsSaved(string model) =>
        File.Exists(model) || (!Directory.Exists(model) && Path.GetExtension(model).Equals(".zip", StringComparison.OrdinalIgnoreCase));

    /// <summary>Fetches a model of the Hugging Face hub, as far as it is not in the cache.</summary>
    /// <param name="model">A folder, nano, or the id of a model of the hub.</param>
    /// <param name="revision">A branch, a tag or a commit of a model of the hub; null for main.</param>
    /// <param name="cancellationToken">Stops the download.</param>
    /// <returns>The name by which exactly this version is opened, without the network; of other models the name as it is.</returns>
    /// <exception cref="ArgumentException">The model is none of the hub and has no revisions, or the model has no such one.</exception>
    public static string Fetch(string model, string? revision, CancellationToken cancellationToken)
    {
        if (CheckpointName.FindOnHub(model, revision) is { } hubModel)
            return CheckpointName.Fetch(model, () => Fetch(hubModel, cancellationToken)).PinnedName;
        if (revision is not null)
            throw new ArgumentException($"--revision is for models of the Hugging Face hub, and '{model}' is none; leave it out.");
        return model;
    }

    /// <summary>Fetches a model, with a progress bar if much is missing, and says so if the hub could not be asked.</summary>
    public static HuggingFaceSnapshot Fetch(HubModel model, CancellationToken cancellationToken)
    {
        try
        {
            HubDownload download = new HuggingFaceHub().PrepareAsync(model, cancellationToken).GetAwaiter().GetResult();
            if (download.Bytes == 0)
                download.RunAsync(progress: null, cancellationToken).GetAwaiter().GetResult();
            else
                ProgressDisplay.Run($"Downloading {model.Id}", display => Show(download, display, cancellationToken));
            if (download.Snapshot.Note is { } note)
            {
                CommandLineRunner.Note(note);
                GoOffline(); // it is not asked again
            }

            return download.Snapshot;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            throw new VerbCanceledException("cancelled; what has come of the model is kept, and the same command goes on from there.");
        }
    }

    /// <summary>From now on models of the hub are taken from the cache only, also those that a saved model names.</summary>
    public static void GoOffline() => Environment.SetEnvironmentVariable("HF_HUB_OFFLINE", "1");

    private static HuggingFaceSnapshot Show(HubDownload download, IProgress<ProgressState> display, CancellationToken cancellationToken)
    {
        download.RunAsync(new ByteProgress(display), cancellationToken).GetAwaiter().GetResult();
        return download.Snapshot;
    }

    // Not Progress<T>, which reports on other threads, and later.
    private sealed class ByteProgress(IProgress<ProgressState> display) : IProgress<HuggingFaceProgress>
    {
        private readonly long _start = Stopwatch.GetTimestamp();
        private long? _atStart; // what an earlier attempt left says nothing about the speed

        public void Report(HuggingFaceProgress value)
        {
            _atStart ??= value.Bytes;
            double perSecond = (value.Bytes - _atStart.Value) / Math.Max(Stopwatch.GetElapsedTime(_start).TotalSeconds, 1e-9);
            string left = perSecond > 0 ? $" {ProgressState.Text(TimeSpan.FromSeconds(Math.Min((value.TotalBytes - value.Bytes) / perSecond, 359_999)))} left" : "";
            display.Report(new ProgressState(value.Bytes, value.TotalBytes, string.Create(CultureInfo.InvariantCulture,
                $"of {CheckpointDescription.Size(value.TotalBytes)}, {perSecond / 1e6:F1} MB/s{left}")));
        }
    }
}
