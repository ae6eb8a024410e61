namespace Siglip.Core;

/// <summary>A model's part of the cache that all programs of a user share, in the layout of Python's huggingface_hub (file_download.py): files by their hash in
/// <c>blobs</c>, under their names as links to those in <c>snapshots/COMMIT</c>, and in <c>refs</c> the commit of a branch or tag.</summary>
/// <param name="root">The cache of all models.</param>
/// <param name="model">The model.</param>
/// <param name="useSymbolicLinks">Whether names are links, where the system has such; otherwise they are the files themselves.</param>
internal sealed class HubCache(string root, HubModel model, bool useSymbolicLinks)
{
    private static readonly TimeSpan PauseBetweenTries = TimeSpan.FromMilliseconds(100);

    private readonly string _folder = Path.Combine(root, model.FolderName);

    public string Root => root;

    public string SnapshotOf(string commit) => Path.Combine(_folder, "snapshots", commit);

    public string BlobOf(string etag) => Path.Combine(_folder, "blobs", etag);

    public string IncompleteOf(string etag) => BlobOf(etag) + ".incomplete";

    /// <summary>The commit that the model's revision was the last time that somebody asked the hub; null if nobody did.</summary>
    public string? FindCommit()
    {
        if (model.IsPinned)
            return model.Revision;
        string reference = ReferenceOf(model.Revision);
        return File.Exists(reference) && File.ReadAllText(reference).Trim() is var commit && HubModel.IsCommit(commit) ? commit : null;
    }

    /// <summary>The path of a file; null if it is not in the cache.</summary>
    public string? Find(string commit, string name) => Path.Combine(SnapshotOf(commit), name) is var path && Exists(path) ? path : null;

    /// <summary>Whether the hub has said that a commit has no such file.</summary>
    public bool IsAbsent(string commit, string name) => File.Exists(AbsenceOf(commit, name));

    public void RememberAbsence(string commit, string name)
    {
        string path = AbsenceOf(commit, name);
        if (!File.Exists(path))
            Remember(path, () => File.WriteAllBytes(path, []));
    }

    /// <summary>The names of the files that a checkpoint is read from, as far as they are in the cache.</summary>
    /// <param name="commit">The commit.</param>
    /// <param name="missing">What else is needed; nothing if the checkpoint is complete.</param>
    public string[] FilesOf(string commit, out string[] missing)
    {
        string[] processors = Find(commit, SiglipCheckpoint.ProcessorName) is { } processor && SiglipCheckpoint.ImageProcessorOf(processor) is not null
            ? [SiglipCheckpoint.ProcessorName]
            : [SiglipCheckpoint.PreprocessorName];
        string[] weights = Find(commit, CheckpointWeights.FileName) is null && Find(commit, CheckpointWeights.IndexName) is { } index
            ? [CheckpointWeights.IndexName, .. ShardIndex.Read(index).Shards]
            : [CheckpointWeights.FileName];
        string[] needed = [SiglipCheckpoint.ConfigName, .. processors, .. weights];
        missing = [.. needed.Where(name => Find(commit, name) is null)];
        return [.. needed.Except(missing)];
    }

    /// <summary>Waits until no other process fetches a file, and keeps the others out.</summary>
    /// <exception cref="IOException">The cache cannot be written to, or the lock belongs to another user.</exception>
    public async Task<FileLock> LockAsync(string etag, CancellationToken cancellationToken)
    {
        string path = Path.Combine(root, ".locks", model.FolderName, etag + ".lock");
        while (true)
        {
            FileLock? held = null;
            Saving(path, () => held = FileLock.TryTake(path));
            if (held is not null)
                return held;
            await Task.Delay(PauseBetweenTries, cancellationToken).ConfigureAwait(false);
        }
    }

    public bool HasBlob(HubFile file) => new FileInfo(BlobOf(file.Etag)) is { Exists: true } blob && blob.Length == file.Size;

    /// <summary>Gives a file in <c>blobs</c> its name in the snapshot.</summary>
    /// <param name="file">The file.</param>
    /// <param name="isNew">Whether no other name can lead to it, so that it may be moved where there are no links.</param>
    public void Link(HubFile file, bool isNew)
    {
        string path = Path.Combine(SnapshotOf(file.Commit), file.Name), blob = BlobOf(file.Etag);
        if (Exists(path))
            return;
        Saving(path, () =>
        {
            File.Delete(path); // a link whose file is gone
            if (useSymbolicLinks && TryLink(path, Path.GetRelativePath(SnapshotOf(file.Commit), blob)))
                return;
            if (isNew)
                File.Move(blob, path, overwrite: true);
            else
                File.Copy(blob, path, overwrite: true);
        });
    }

    /// <summary>Remembers the commit that the revision is now.</summary>
    public void Refer(string commit)
    {
        if (FindCommit() == commit)
            return;
        string reference = ReferenceOf(model.Revision);
        Remember(reference, () =>
        {
            using var staged = new StagedFiles();
            staged.Add(reference, stream => stream.Write(System.Text.Encoding.ASCII.GetBytes(commit)));
            staged.Commit();
        });
    }

    /// <summary>Writes to the cache.</summary>
    /// <exception cref="IOException">It cannot be written to, or the disk is full.</exception>
    public void Saving(string path, Action save)
    {
        try
        {
            StagedFiles.Saving(path, () =>
            {
                Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                save();
            });
        }
        catch (IOException e)
        {
            throw new IOException($"{e.Message} The cache of models is '{root}'; the variable HF_HOME moves it.", e);
        }
    }

    // What only saves a question the next time. The cache may be one that others fill, and that this user only reads.
    private void Remember(string path, Action save)
    {
        try
        {
            Saving(path, save);
        }
        catch (IOException)
        {
        }
    }

    private string ReferenceOf(string revision) => Path.Combine([_folder, "refs", .. revision.Split('/')]);

    private string AbsenceOf(string commit, string name) => Path.Combine(_folder, ".no_exist", commit, name);

    // File.Exists is true of a link whose target is gone.
    private static bool Exists(string path) =>
        new FileInfo(path) is { Exists: true } file && (file.LinkTarget is null || file.ResolveLinkTarget(returnFinalTarget: true) is { Exists: true });

    private static bool TryLink(string path, string target)
    {
        try
        {
            File.CreateSymbolicLink(path, target);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Exists(path); // another process was faster, or this system has no links for this user
        }
    }
}
