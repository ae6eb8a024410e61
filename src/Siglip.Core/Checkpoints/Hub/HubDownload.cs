using System.Globalization;

namespace Siglip.Core;

/// <summary>The large files that are missing of a model.</summary>
/// <param name="options">Where they come from.</param>
/// <param name="model">The model.</param>
/// <param name="cache">Where they go.</param>
/// <param name="snapshot">What there is when they are fetched.</param>
/// <param name="files">The files.</param>
internal sealed class HubDownload(HuggingFaceHubOptions options, HubModel model, HubCache cache, HuggingFaceSnapshot snapshot, IReadOnlyList<HubFile> files)
{
    private const int MaxAtOnce = 8; // as snapshot_download has it
    private readonly Lock _telling = new();

    public HuggingFaceSnapshot Snapshot => snapshot;

    /// <summary>Their bytes, those that are there included.</summary>
    public long Bytes { get; } = files.Sum(file => file.Size);

    /// <exception cref="IOException">There is no room for them, or they do not come.</exception>
    /// <exception cref="InvalidDataException">What comes is something else.</exception>
    public async Task RunAsync(IProgress<HuggingFaceProgress>? progress, CancellationToken cancellationToken)
    {
        if (files.Count > 0)
        {
            CheckRoom();
            using var connection = new HubConnection(options, model);
            long done = 0;
            await Parallel.ForEachAsync(files, Parallelism(cancellationToken), async (file, token) =>
                await new BlobDownload(connection, cache, file, options, received =>
                {
                    lock (_telling)
                        progress?.Report(new HuggingFaceProgress(done += received, Bytes));
                }).RunAsync(token).ConfigureAwait(false)).ConfigureAwait(false);
        }

        if (snapshot.Note is null && !options.Offline)
            cache.Refer(snapshot.Commit);
    }

    public static ParallelOptions Parallelism(CancellationToken cancellationToken) =>
        new() { MaxDegreeOfParallelism = MaxAtOnce, CancellationToken = cancellationToken };

    private void CheckRoom()
    {
        long needed = files.Where(file => !cache.HasBlob(file)).Sum(file => file.Size - PresentBytes(file));
        if (needed > 0 && FreeBytes() is { } free && free < needed)
            throw new IOException(string.Create(CultureInfo.InvariantCulture, $"'{model.Id}' needs {needed:N0} more bytes in the cache '{cache.Root}', and its disk has "
                + $"{free:N0} free; make room, or choose another folder by the variable HF_HOME."));
    }

    private long PresentBytes(HubFile file) => new FileInfo(cache.IncompleteOf(file.Etag)) is { Exists: true, Length: var length } && length <= file.Size ? length : 0;

    // Null where the system does not say, as for a network share on Windows.
    private long? FreeBytes()
    {
        try
        {
            return new DriveInfo(OperatingSystem.IsWindows() ? Path.GetPathRoot(cache.Root)! : cache.Root).AvailableFreeSpace;
        }
        catch (Exception e) when (e is ArgumentException or IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
