using System.Collections.Concurrent;
using System.Linq.Expressions;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.VectorData;
using Microsoft.Extensions.VectorData.ProviderServices;

namespace Siglip.Extensions.AI.Tests.VectorStores;

/// <summary>A collection of a vector store that keeps its records in memory, and finds the nearest by cosine similarity.</summary>
/// <remarks>Everything about embeddings is left to the abstractions' services for providers, as Qdrant's, Postgres' or SQLite's do.</remarks>
internal sealed class InMemoryCollection<TKey, TRecord> : VectorStoreCollection<TKey, TRecord>
    where TKey : notnull
    where TRecord : class
{
    private readonly ConcurrentDictionary<TKey, (TRecord Record, ReadOnlyMemory<float> Vector)> _records = new();
    private readonly CollectionModel _model;

    public InMemoryCollection(string name, VectorStoreCollectionDefinition? definition, IEmbeddingGenerator? generator)
    {
        Name = name;
        _model = new InMemoryModelBuilder().Build(typeof(TRecord), typeof(TKey), definition, generator);
    }

    public override string Name { get; }

    public override Task<bool> CollectionExistsAsync(CancellationToken cancellationToken = default) => Task.FromResult(true);

    public override Task EnsureCollectionExistsAsync(CancellationToken cancellationToken = default) => Task.CompletedTask;

    public override Task EnsureCollectionDeletedAsync(CancellationToken cancellationToken = default)
    {
        _records.Clear();
        return Task.CompletedTask;
    }

    public override Task<TRecord?> GetAsync(TKey key, RecordRetrievalOptions? options = null, CancellationToken cancellationToken = default) =>
        Task.FromResult(_records.TryGetValue(key, out var found) ? found.Record : null);

    public override IAsyncEnumerable<TRecord> GetAsync(
        Expression<Func<TRecord, bool>> filter, int top, FilteredRecordRetrievalOptions<TRecord>? options = null, CancellationToken cancellationToken = default) =>
        _records.Values.Select(stored => stored.Record).Where(filter.Compile()).Take(top).ToAsyncEnumerable();

    public override Task DeleteAsync(TKey key, CancellationToken cancellationToken = default)
    {
        _records.TryRemove(key, out _);
        return Task.CompletedTask;
    }

    public override Task UpsertAsync(TRecord record, CancellationToken cancellationToken = default) => UpsertAsync([record], cancellationToken);

    public override async Task UpsertAsync(IEnumerable<TRecord> records, CancellationToken cancellationToken = default)
    {
        TRecord[] all = [.. records];
        VectorPropertyModel property = _model.VectorProperty;
        IEnumerable<object?> values = all.Select(property.GetValueAsObject);
        IReadOnlyList<ReadOnlyMemory<float>> vectors = _model.EmbeddingGenerationRequired
            ? [.. (await property.GenerateEmbeddingsAsync(values, cancellationToken)).Select(embedding => ((Embedding<float>)embedding).Vector)]
            : [.. values.Select(value => VectorOf(value!))];
        for (int i = 0; i < all.Length; i++)
        {
            if (vectors[i].Length != property.Dimensions)
                throw new VectorStoreException($"The vector has {vectors[i].Length} values, the collection takes {property.Dimensions}.");
            _records[_model.KeyProperty.GetValue<TKey>(all[i])] = (all[i], vectors[i]);
        }
    }

    public override async IAsyncEnumerable<VectorSearchResult<TRecord>> SearchAsync<TInput>(
        TInput searchValue, int top, VectorSearchOptions<TRecord>? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        ReadOnlyMemory<float> query = searchValue is Embedding<float> or ReadOnlyMemory<float>
            ? VectorOf(searchValue)
            : ((Embedding<float>)await _model.VectorProperty.GenerateEmbeddingAsync(searchValue, cancellationToken)).Vector;
        foreach (var (record, score) in _records.Values.Select(stored => (stored.Record, TensorPrimitives.CosineSimilarity(stored.Vector.Span, query.Span)))
            .OrderByDescending(scored => scored.Item2).Take(top))
        {
            yield return new VectorSearchResult<TRecord>(record, score);
        }
    }

    public override object? GetService(Type serviceType, object? serviceKey = null) => serviceType.IsInstanceOfType(this) ? this : null;

    private static ReadOnlyMemory<float> VectorOf(object value) => value is Embedding<float> embedding ? embedding.Vector : (ReadOnlyMemory<float>)value;
}
