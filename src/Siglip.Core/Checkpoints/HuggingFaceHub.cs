namespace Siglip.Core;

/// <summary>Models of the Hugging Face hub: finds them in the cache that they share with Python's huggingface_hub, and fetches what is missing.</summary>
/// <remarks>Loading a model by its id does this by itself; this class shows how far it is, and can be told where to look. Of a repository only the files of a
/// checkpoint are fetched: config.json, processor_config.json or preprocessor_config.json, and model.safetensors, or its shards.</remarks>
/// <param name="options">Where models come from and where they are kept; null for what the environment says.</param>
public sealed class HuggingFaceHub(HuggingFaceHubOptions? options = null)
{
    private readonly HuggingFaceHubOptions _options = options ?? new HuggingFaceHubOptions();

    /// <summary>Fetches what is missing of a model. What is there is not fetched again, and a download that was stopped goes on.</summary>
    /// <param name="model">Its id, such as <c>google/siglip2-base-patch16-224</c>; a revision may follow, after an @.</param>
    /// <param name="revision">A branch, a tag or a commit; null for that in <paramref name="model"/>, or main.</param>
    /// <param name="progress">Is told of the bytes as they come, on any thread.</param>
    /// <param name="cancellationToken">Stops the download; what has come stays, and the next one goes on from there.</param>
    /// <returns>The folder with the model's files, which <see cref="SiglipCheckpoint.Open"/> takes as well.</returns>
    /// <exception cref="ArgumentException">The id is none, there is no such revision, or the hub's address is none.</exception>
    /// <exception cref="FileNotFoundException">There is no such model, it has no weights that can be read, or nothing may be fetched and it is not in the cache.</exception>
    /// <exception cref="UnauthorizedAccessException">The model is gated, and the token has no access.</exception>
    /// <exception cref="IOException">The hub cannot be reached, and the model is not in the cache; or the cache cannot be written to, or the disk is full.</exception>
    /// <exception cref="InvalidDataException">What came is not what the hub says, or is no SigLIP model; nothing of it is kept that is wrong.</exception>
    public async Task<HuggingFaceSnapshot> DownloadAsync(
        string model, string? revision = null, IProgress<HuggingFaceProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(model);
        HubModel found = HubModel.Find(model, revision)
            ?? throw new ArgumentException($"'{model}' is no model of the Hugging Face hub, expected an id such as google/siglip2-base-patch16-224.", nameof(model));
        HubDownload download = await PrepareAsync(found, cancellationToken).ConfigureAwait(false);
        await download.RunAsync(progress, cancellationToken).ConfigureAwait(false);
        return download.Snapshot;
    }

    /// <summary>Fetches what is missing of a model, and waits for it, as loading does.</summary>
    /// <inheritdoc cref="DownloadAsync"/>
    internal HuggingFaceSnapshot Download(HubModel model) => Task.Run(async () =>
    {
        HubDownload download = await PrepareAsync(model, CancellationToken.None).ConfigureAwait(false);
        await download.RunAsync(progress: null, CancellationToken.None).ConfigureAwait(false);
        return download.Snapshot;
    }).GetAwaiter().GetResult();

    /// <summary>Finds a model in the cache.</summary>
    /// <returns>Null if it is not there, or not all of it.</returns>
    internal HuggingFaceSnapshot? FindCached(HubModel model)
    {
        var cache = new HubCache(_options.CacheFolder, model, _options.UseSymbolicLinks);
        return cache.FindCommit() is { } commit && cache.FilesOf(commit, out string[] missing) is var files && missing.Length == 0
            ? Snapshot(model, cache, commit, files, null)
            : null;
    }

    /// <summary>Finds out what is missing of a model, and fetches the small files of it.</summary>
    /// <inheritdoc cref="DownloadAsync"/>
    internal async Task<HubDownload> PrepareAsync(HubModel model, CancellationToken cancellationToken)
    {
        var cache = new HubCache(_options.CacheFolder, model, _options.UseSymbolicLinks);
        string? cached = cache.FindCommit();
        string[] missing = [SiglipCheckpoint.ConfigName]; // at least
        string[] present = cached is null ? [] : cache.FilesOf(cached, out missing);
        HubDownload FromCache(string? note) => new(_options, model, cache, Snapshot(model, cache, cached!, present, note), []);
        bool isComplete = missing.Length == 0;
        if (_options.Offline)
        {
            return isComplete ? FromCache(null) : throw new FileNotFoundException(
                $"Nothing is fetched in offline mode, and {NotCached(model, cache, present, missing)}. {Advice(model, cache)}");
        }

        if (isComplete && model.IsPinned && IsCertain(cache, cached!))
            return FromCache(null);

        HubDownload FromCacheDespite(Exception e) => FromCache($"{e.Message.TrimEnd('.')}; '{model.Id}' is used as it is in the cache, commit {cached}.");
        using var connection = new HubConnection(_options, model);
        try
        {
            HubFile config;
            try
            {
                (HubFile? found, _) = await connection.FindAsync(SiglipCheckpoint.ConfigName, model.Revision, isPatient: !isComplete, cancellationToken).ConfigureAwait(false);
                config = found ?? throw connection.Faults.NoFile(SiglipCheckpoint.ConfigName);
            }
            catch (Exception e) when (isComplete && e is UnauthorizedAccessException or FileNotFoundException or InvalidDataException)
            {
                return FromCacheDespite(e);
            }

            if (isComplete && config.Commit == cached && IsCertain(cache, cached))
                return FromCache(null);
            return await PrepareAsync(model, cache, connection, config, cancellationToken).ConfigureAwait(false);
        }
        catch (HubUnreachableException e)
        {
            return isComplete
                ? FromCacheDespite(e)
                : throw new IOException($"{e.Reason}, and {NotCached(model, cache, present, missing)}. {Advice(model, cache)}", e);
        }
    }

    private async Task<HubDownload> PrepareAsync(HubModel model, HubCache cache, HubConnection connection, HubFile config, CancellationToken cancellationToken)
    {
        string commit = config.Commit;
        await FetchAsync(config).ConfigureAwait(false);
        string configPath = cache.Find(commit, SiglipCheckpoint.ConfigName)!;
        SiglipVisionConfigBase.FromJson(CheckpointText.Read(configPath), $"'{configPath}'"); // of another kind of model nothing more is fetched
        await FindAndFetchAsync(SiglipCheckpoint.ProcessorName).ConfigureAwait(false);
        if (cache.Find(commit, SiglipCheckpoint.ProcessorName) is not { } processor || SiglipCheckpoint.ImageProcessorOf(processor) is null)
        {
            if (!await FindAndFetchAsync(SiglipCheckpoint.PreprocessorName).ConfigureAwait(false))
                throw connection.Faults.NoFile(SiglipCheckpoint.PreprocessorName);
        }

        HubFile[] weights;
        if (cache.Find(commit, CheckpointWeights.FileName) is not null)
            weights = [];
        else if (await FindAsync(CheckpointWeights.FileName).ConfigureAwait(false) is { } single)
            weights = [single];
        else if (await FindAndFetchAsync(CheckpointWeights.IndexName).ConfigureAwait(false))
            weights = await FindAllAsync(ShardIndex.Read(cache.Find(commit, CheckpointWeights.IndexName)!).Shards).ConfigureAwait(false);
        else
            throw connection.Faults.NoSafetensors(await FindAsync("pytorch_model.bin").ConfigureAwait(false) is not null);

        string[] present = cache.FilesOf(commit, out _);
        return new HubDownload(_options, model, cache, Snapshot(model, cache, commit, [.. present, .. weights.Select(file => file.Name)], null), weights);

        async Task<HubFile?> FindAsync(string name)
        {
            if (cache.IsAbsent(commit, name))
                return null;
            (HubFile? file, _) = await connection.FindAsync(name, commit, isPatient: true, cancellationToken).ConfigureAwait(false);
            if (file is null)
                cache.RememberAbsence(commit, name);
            return file;
        }

        async Task<bool> FindAndFetchAsync(string name)
        {
            if (cache.Find(commit, name) is not null)
                return true;
            if (await FindAsync(name).ConfigureAwait(false) is not { } file)
                return false;
            await FetchAsync(file).ConfigureAwait(false);
            return true;
        }

        async Task FetchAsync(HubFile file)
        {
            if (cache.Find(commit, file.Name) is not null)
                return;
            CheckpointText.CheckLength(file.Size, $"'{file.Name}' of '{model}'");
            await new BlobDownload(connection, cache, file, _options, static _ => { }).RunAsync(cancellationToken).ConfigureAwait(false);
        }

        async Task<HubFile[]> FindAllAsync(string[] names)
        {
            names = [.. names.Where(name => cache.Find(commit, name) is null)];
            var files = new HubFile[names.Length];
            await Parallel.ForAsync(0, names.Length, HubDownload.Parallelism(cancellationToken), async (i, token) =>
            {
                (HubFile? file, _) = await connection.FindAsync(names[i], commit, isPatient: true, token).ConfigureAwait(false);
                files[i] = file ?? throw connection.Faults.NoFile(names[i]);
            }).ConfigureAwait(false);
            return files;
        }
    }

    // Which of the two files of preprocessing counts is known only if the first is there, or known not to be.
    private static bool IsCertain(HubCache cache, string commit) =>
        cache.Find(commit, SiglipCheckpoint.ProcessorName) is not null || cache.IsAbsent(commit, SiglipCheckpoint.ProcessorName);

    private static HuggingFaceSnapshot Snapshot(HubModel model, HubCache cache, string commit, IReadOnlyList<string> files, string? note) =>
        new(model.Id, commit, cache.SnapshotOf(commit), files, note);

    private static string NotCached(HubModel model, HubCache cache, string[] present, string[] missing) => present.Length == 0
        ? $"'{model}' is not in the cache '{cache.Root}'"
        : $"of '{model}' the cache '{cache.Root}' lacks {string.Join(", ", missing)}";

    private static string Advice(HubModel model, HubCache cache) =>
        $"On a machine with network run 'siglip download {model}', and copy the folder {model.FolderName} of its cache into '{cache.Root}'.";
}
