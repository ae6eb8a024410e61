using System.Numerics.Tensors;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.VectorData;
using Siglip.Core;
using Siglip.Extensions.AI.Tests.Documentation;
using static Siglip.Extensions.AI.Tests.TestImages;

namespace Siglip.Extensions.AI.Tests.VectorStores;

[TestClass]
public sealed class VectorStoreTests
{
    public TestContext TestContext { get; set; } = null!;

    private CancellationToken Token => TestContext.CancellationToken;

    [TestMethod]
    public async Task Records_with_images_are_found_by_images_like_them()
    {
        using var generator = new SiglipEmbeddingGenerator("nano");
        IReadOnlyList<(string Path, string Label)> known = Photos("cifar10"), unknown = Photos("cifar10-new");
        using var collection = new InMemoryCollection<string, Photo>("photos", null, generator);
        await collection.UpsertAsync(known.Select(photo => new Photo { Path = photo.Path, Label = photo.Label, Image = Load(photo.Path) }), Token);

        int right = 0;
        foreach ((string path, string label) in unknown)
        {
            VectorSearchResult<Photo>[] nearest = await collection.SearchAsync(Load(path), 5, cancellationToken: Token).ToArrayAsync(Token);
            Assert.HasCount(5, nearest);
            CollectionAssert.AreEqual(nearest.OrderByDescending(found => found.Score).ToArray(), nearest);
            right += nearest.GroupBy(found => found.Record.Label).MaxBy(group => group.Count())!.Key == label ? 1 : 0;
        }

        TestContext.WriteLine($"{right} of {unknown.Count} new photos are of the class of most of their 5 nearest.");
        Assert.AreEqual(50, unknown.Count);
        Assert.IsGreaterThanOrEqualTo(20, right); // by chance 5
    }

    [TestMethod]
    public async Task The_store_finds_what_a_comparison_of_the_embedder_s_vectors_finds()
    {
        using var generator = new SiglipEmbeddingGenerator("nano");
        SiglipImageEmbedder embedder = generator.GetRequiredService<SiglipImageEmbedder>();
        string[] files = [.. Photos("cifar10").Select(photo => photo.Path)];
        using var collection = new InMemoryCollection<string, Photo>("photos", null, generator);
        await collection.UpsertAsync(files.Select(path => new Photo { Path = path, Image = Load(path) }), Token);
        float[][] vectors = await embedder.EmbedAsync(files.ToAsyncEnumerable(), Token).Select(embedding => embedding.Values).ToArrayAsync(Token);
        string asked = Photos("cifar10-new")[7].Path;
        float[] query = embedder.Embed(asked);

        VectorSearchResult<Photo>[] found = await collection.SearchAsync(Load(asked), 10, cancellationToken: Token).ToArrayAsync(Token);

        (string File, double Score)[] expected = [.. files.Select((file, i) => (file, (double)TensorPrimitives.CosineSimilarity(vectors[i], query)))
            .OrderByDescending(scored => scored.Item2).Take(10)];
        CollectionAssert.AreEqual(expected, found.Select(result => (result.Record.Path, result.Score!.Value)).ToArray());
    }

    [TestMethod]
    public async Task A_stored_vector_is_searched_by_image_too()
    {
        using var generator = new SiglipEmbeddingGenerator("nano");
        using var collection = new InMemoryCollection<string, StoredVector>("vectors", null, generator);
        DataContent[] images = Contents(3);
        GeneratedEmbeddings<Embedding<float>> embeddings = await generator.GenerateAsync(images, cancellationToken: Token);
        await collection.UpsertAsync(embeddings.Select((embedding, i) => new StoredVector { Key = Files[i], Vector = embedding.Vector }), Token);

        for (int i = 0; i < images.Length; i++)
        {
            VectorSearchResult<StoredVector> nearest = await collection.SearchAsync(images[i], 1, cancellationToken: Token).SingleAsync(Token);
            Assert.AreEqual(Files[i], nearest.Record.Key);
            Assert.AreEqual(1, nearest.Score!.Value, 1e-5);
        }
    }

    [TestMethod]
    public async Task A_bad_image_leaves_the_store_as_it_was()
    {
        using var generator = new SiglipEmbeddingGenerator("nano", new() { BadImagesAreMissing = true });
        using var collection = new InMemoryCollection<string, Photo>("photos", null, generator);
        var bad = new DataContent(new byte[10], "image/png") { Name = "bad.png" };

        InvalidDataException error = await Assert.ThrowsExactlyAsync<InvalidDataException>(
            () => collection.UpsertAsync([new() { Path = "good", Image = Load(Files[0]) }, new() { Path = "bad", Image = bad }], Token));

        Assert.StartsWith("image 1 ('bad.png') is no image that can be read:", error.Message);
        Assert.IsNull(await collection.GetAsync("good", cancellationToken: Token));
    }

    [TestMethod]
    public void Text_is_refused_by_the_store_when_the_collection_is_made()
    {
        using var generator = new SiglipEmbeddingGenerator("nano");
        Assert.ThrowsExactly<InvalidOperationException>(() => new InMemoryCollection<string, Note>("notes", null, generator));
    }

    internal sealed class StoredVector
    {
        [VectorStoreKey]
        public string Key { get; set; } = "";

        [VectorStoreVector(128)]
        public ReadOnlyMemory<float> Vector { get; set; }
    }

    internal sealed class Note
    {
        [VectorStoreKey]
        public string Key { get; set; } = "";

        [VectorStoreVector(128)]
        public string Text { get; set; } = "";
    }
}
