namespace Siglip.MLNet;

/// <summary>Where a <see cref="SiglipEmbeddingCache"/> keeps embeddings, and how many.</summary>
public sealed record SiglipEmbeddingCacheOptions
{
    /// <summary>The most memory for embeddings, in bytes. A pooled embedding of 768 values takes about 3.2 KB, its 196 patches' embeddings 600 KB.</summary>
    /// <value>0 or more; the default is 256 MiB.</value>
    public long MaxMemory { get; init; } = 256L << 20;

    /// <summary>A SQLite file for embeddings, which later runs use again, and other processes at the same time. It is created if it does not exist, and grows
    /// without limit; delete it to start anew. Its folder has to exist; keep it off network shares, on which SQLite cannot lock files reliably.</summary>
    /// <value>The default, null, means memory only.</value>
    public string? Path { get; init; }
}
