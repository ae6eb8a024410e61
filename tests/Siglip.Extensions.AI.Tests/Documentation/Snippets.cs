using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.VectorData;
using Siglip.Core;

namespace Siglip.Extensions.AI.Tests.Documentation;

/// <summary>The C# of docs/embedding-generator.md.</summary>
internal static class Snippets
{
    public static async Task Generate()
    {
        // begin-snippet: generate
        using var generator = new SiglipEmbeddingGenerator("nano"); // or the folder of a checkpoint, or its id on the hub

        string[] files = [.. Directory.EnumerateFiles("samples/cifar10/cat").Order()];
        GeneratedEmbeddings<Embedding<float>> embeddings = await generator.GenerateAsync(
            files.Select(file => new DataContent(File.ReadAllBytes(file), "image/png") { Name = file }));
        Console.WriteLine($"{embeddings.Count} embeddings of {embeddings[0].Dimensions} values"); // 20 embeddings of 128 values
        // end-snippet
    }

    public static async Task<int> Embedder()
    {
        // begin-snippet: embedder
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained("nano", new SiglipImageEmbedderOptions { Normalize = true, BatchSize = 8 });
        IEmbeddingGenerator<DataContent, Embedding<float>> generator = embedder.AsIEmbeddingGenerator(modelId: "nano");
        DataContent photo = await DataContent.LoadFromAsync("samples/cifar10/cat/45012.png");
        ReadOnlyMemory<float> vector = await generator.GenerateVectorAsync(photo);
        // end-snippet

        return vector.Length;
    }

    public static ServiceProvider Container()
    {
        // begin-snippet: container
        var services = new ServiceCollection();
        services.AddDistributedMemoryCache(); // or Redis, SQL Server, …
        services.AddEmbeddingGenerator(_ => new SiglipEmbeddingGenerator("nano"))
            .UseDistributedCache(configure: cache => cache.CacheKeyAdditionalValues = ["nano"])
            .UseOpenTelemetry();
        // end-snippet

        return services.BuildServiceProvider();
    }

    public static async Task Search(VectorStore store)
    {
        // begin-snippet: search
        VectorStoreCollection<string, Photo> photos = store.GetCollection<string, Photo>("photos");
        await photos.EnsureCollectionExistsAsync();
        foreach (string[] files in Directory.EnumerateFiles("samples/cifar10", "*.png", SearchOption.AllDirectories).Chunk(100))
        {
            await photos.UpsertAsync(files.Select(file => new Photo
            {
                Path = file,
                Label = Path.GetFileName(Path.GetDirectoryName(file)!),
                Image = new DataContent(File.ReadAllBytes(file), "image/png") { Name = file },
            }));
        }

        DataContent asked = await DataContent.LoadFromAsync("samples/cifar10-new/ship/45309.png");
        await foreach (VectorSearchResult<Photo> found in photos.SearchAsync(asked, top: 5))
            Console.WriteLine($"{found.Record.Label} {found.Score:F3}");
        // end-snippet
    }
}
