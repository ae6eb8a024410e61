using Siglip.Core;

namespace Siglip.MLNet;

/// <summary>Embeddings in memory, up to a limit. Any number of threads.</summary>
/// <remarks>When it is full, a new embedding takes the place of others chosen at random: data are read in passes, each in the same order, where throwing out the
/// one not used for longest would throw out each just before it is wanted.</remarks>
internal sealed class EmbeddingMemory(long limit)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<ImageKey, int> _indices = [];
    private readonly List<(ImageKey Key, CachedEmbedding Embedding)> _entries = [];
    private readonly Random _random = new(1);
    private long _used;

    public int Count
    {
        get
        {
            lock (_gate)
                return _entries.Count;
        }
    }

    /// <summary>Bytes.</summary>
    public long Used
    {
        get
        {
            lock (_gate)
                return _used;
        }
    }

    public CachedEmbedding? Find(ImageKey key, SiglipEmbeddingOutputs outputs)
    {
        lock (_gate)
            return _indices.TryGetValue(key, out int index) && _entries[index].Embedding.Has(outputs) ? _entries[index].Embedding : null;
    }

    /// <returns>False if others had to go, or there is no room for it at all.</returns>
    public bool Add(ImageKey key, CachedEmbedding embedding)
    {
        lock (_gate)
        {
            bool isKnown = _indices.TryGetValue(key, out int known);
            if (isKnown)
                embedding = _entries[known].Embedding.With(embedding);
            if (embedding.Size > limit)
                return false; // what is known stays
            if (isKnown)
                Remove(known);
            bool hasRoom = _used + embedding.Size <= limit;
            while (_used + embedding.Size > limit)
                Remove(_random.Next(_entries.Count));
            _indices.Add(key, _entries.Count);
            _entries.Add((key, embedding));
            _used += embedding.Size;
            return hasRoom;
        }
    }

    private void Remove(int index)
    {
        (ImageKey key, CachedEmbedding embedding) = _entries[index];
        _indices.Remove(key);
        _used -= embedding.Size;
        if (index < _entries.Count - 1) // the last one fills the gap
        {
            _entries[index] = _entries[^1];
            _indices[_entries[index].Key] = index;
        }

        _entries.RemoveAt(_entries.Count - 1);
    }
}
