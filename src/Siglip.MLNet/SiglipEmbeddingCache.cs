using System.Runtime.CompilerServices;
using Microsoft.Data.Sqlite;
using Microsoft.ML.Runtime;
using Siglip.Core;
using Siglip.MLNet.Internals;

namespace Siglip.MLNet;

/// <summary>Embeddings of images that were seen before, for all SigLIP steps of an <c>MLContext</c>. Made by <c>MLContext.CacheSiglipEmbeddings</c>; until it
/// is disposed, these steps look each image up before they decode and embed it.</summary>
/// <remarks>
/// <para>An image is known by the SHA-256 of its bytes (for an <c>MLImage</c>, of its pixels), together with the weights and all settings that its embeddings
/// depend on: a changed file, or another model, is another entry. What is found are the bits that were computed first; an image embedded in a batch of another
/// size would have last digits that differ.</para>
/// <para>Serves any number of threads.</para>
/// </remarks>
public sealed class SiglipEmbeddingCache : IDisposable
{
    private static readonly ConditionalWeakTable<IHostEnvironment, SiglipEmbeddingCache> Caches = [];

    private readonly IHostEnvironment _environment;
    private readonly IHost _host;
    private readonly EmbeddingMemory _memory;
    private readonly long _maxMemory;
    private EmbeddingFile? _file;
    private long _hits;
    private long _misses;
    private int _full;

    private SiglipEmbeddingCache(IHostEnvironment environment, SiglipEmbeddingCacheOptions options)
    {
        (_environment, _host) = (environment, environment.Register(nameof(SiglipEmbeddingCache)));
        (_memory, _maxMemory) = (new EmbeddingMemory(options.MaxMemory), options.MaxMemory);
        Path = options.Path is null ? null : System.IO.Path.GetFullPath(options.Path);
        _file = options.Path is null ? null : EmbeddingFile.Open(options.Path);
    }

    /// <summary>The full path of the file; null if embeddings are kept in memory only.</summary>
    public string? Path { get; }

    /// <summary>Number of images that were found, so far.</summary>
    public long Hits => Interlocked.Read(ref _hits);

    /// <summary>Number of images that were not found, so far.</summary>
    public long Misses => Interlocked.Read(ref _misses);

    /// <summary>Number of images whose embeddings are in memory.</summary>
    public int Count => _memory.Count;

    /// <summary>Bytes of memory that these take, about.</summary>
    public long MemoryUsed => _memory.Used;

    /// <summary>Ends the use of the cache: images are embedded again. The file is closed, and stays.</summary>
    public void Dispose()
    {
        lock (Caches)
        {
            if (Caches.TryGetValue(_environment, out SiglipEmbeddingCache? current) && ReferenceEquals(current, this))
                Caches.Remove(_environment);
        }

        Interlocked.Exchange(ref _file, null)?.Dispose();
    }

    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    /// <exception cref="InvalidOperationException">The context has a cache already.</exception>
    internal static SiglipEmbeddingCache Attach(IHostEnvironment environment, SiglipEmbeddingCacheOptions options)
    {
        if (options.MaxMemory < 0)
            throw new ArgumentOutOfRangeException($"MaxMemory is {options.MaxMemory}, expected 0 or more bytes.", innerException: null);
        if (options.Path is not null && string.IsNullOrWhiteSpace(options.Path))
            throw new ArgumentException("Path is empty. Name a file, or leave it null for memory only.");
        lock (Caches)
        {
            if (Caches.TryGetValue(environment, out _))
                throw new InvalidOperationException("This MLContext caches SigLIP embeddings already. Dispose the SiglipEmbeddingCache that it has first.");
            var cache = new SiglipEmbeddingCache(environment, options);
            Caches.Add(environment, cache);
            return cache;
        }
    }

    /// <summary>The cache of a context.</summary>
    /// <param name="root">The context's environment itself, not one registered under it.</param>
    internal static SiglipEmbeddingCache? Of(IHostEnvironment root) => Caches.TryGetValue(root, out SiglipEmbeddingCache? cache) ? cache : null;

    internal CachedEmbedding? Find(ImageKey key, SiglipEmbeddingOutputs outputs, EmbeddingSpace space)
    {
        CachedEmbedding? found = _memory.Find(key, outputs);
        if (found is null && (found = UseFile(file => file.Find(key, outputs, space))) is not null)
            _memory.Add(key, found);
        Interlocked.Increment(ref found is null ? ref _misses : ref _hits);
        return found;
    }

    internal void Add(IReadOnlyCollection<(ImageKey Key, CachedEmbedding Embedding)> entries)
    {
        bool hasRoom = true;
        foreach ((ImageKey key, CachedEmbedding embedding) in entries)
            hasRoom &= _memory.Add(key, embedding);
        UseFile<object>(file =>
        {
            file.Add(entries);
            return null;
        });
        if (!hasRoom && Path is null && Interlocked.Exchange(ref _full, 1) == 0)
            Environments.Warn(_host, $"The embedding cache is full: {_memory.Count:N0} images in {_maxMemory / 1e6:0.##} MB; images that do not fit are embedded again. "
                + "Raise MaxMemory, or give it a Path.");
    }

    // A cache that fails must not end what would go on without it.
    private T? UseFile<T>(Func<EmbeddingFile, T?> use)
        where T : class
    {
        EmbeddingFile? file = Volatile.Read(ref _file);
        try
        {
            return file is null ? null : use(file);
        }
        catch (Exception exception) when (exception is SqliteException or ObjectDisposedException or InvalidOperationException)
        {
            if (Interlocked.CompareExchange(ref _file, null, file) == file)
            {
                file!.Dispose();
                Environments.Warn(_host, $"The embedding cache '{Path}' is no longer used: {exception.Message}");
            }

            return null;
        }
    }
}
