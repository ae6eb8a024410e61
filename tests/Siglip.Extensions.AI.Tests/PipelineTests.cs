using System.Diagnostics;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.SemanticKernel;
using Siglip.Core;
using static Siglip.Extensions.AI.Tests.TestImages;

namespace Siglip.Extensions.AI.Tests;

/// <summary>Behind the middleware of Microsoft.Extensions.AI, and in containers.</summary>
[TestClass]
public sealed class PipelineTests
{
    public TestContext TestContext { get; set; } = null!;

    private CancellationToken Token => TestContext.CancellationToken;

    [TestMethod]
    public async Task A_distributed_cache_gives_back_the_same_bits_and_embeds_an_image_once()
    {
        var counter = new CountingGenerator(new SiglipEmbeddingGenerator("nano"));
        using IEmbeddingGenerator<DataContent, Embedding<float>> cached = counter.AsBuilder().UseDistributedCache(Cache()).Build();

        float[][] first = Vectors(await cached.GenerateAsync(Contents(4), cancellationToken: Token));
        float[][] second = Vectors(await cached.GenerateAsync(Contents(4), cancellationToken: Token));
        GeneratedEmbeddings<Embedding<float>> third = await cached.GenerateAsync(Contents().Reverse(), cancellationToken: Token);

        AreSame(first, second);
        AreSame(first, [.. Vectors(third).Reverse().Take(4)]);
        Assert.AreEqual(Files.Count, counter.Images);
        Assert.IsTrue(third.All(embedding => embedding.ModelId == "nano" && embedding.CreatedAt is not null));

        DataContent renamed = Load(Files[0]);
        renamed.Name = "another name";
        await cached.GenerateAsync([renamed], cancellationToken: Token);
        Assert.AreEqual(Files.Count + 1, counter.Images, "the page says that the name is part of the key");
    }

    [TestMethod]
    public async Task Two_models_share_a_cache_if_its_key_has_the_model()
    {
        IDistributedCache storage = Cache();
        using IEmbeddingGenerator<DataContent, Embedding<float>> nano = Cached(new SiglipEmbeddingGenerator("nano"));
        using IEmbeddingGenerator<DataContent, Embedding<float>> other = Cached(new SiglipEmbeddingGenerator(Model("vision_only")));

        Assert.AreEqual(128, (await nano.GenerateAsync(Load(Files[0]), cancellationToken: Token)).Dimensions);
        Assert.AreEqual(64, (await other.GenerateAsync(Load(Files[0]), cancellationToken: Token)).Dimensions);

        IEmbeddingGenerator<DataContent, Embedding<float>> Cached(SiglipEmbeddingGenerator generator) => generator.AsBuilder().UseDistributedCache(
            storage, cache => cache.CacheKeyAdditionalValues = [cache.GetService<EmbeddingGeneratorMetadata>()!.DefaultModelId!]).Build();
    }

    [TestMethod]
    [DataRow(LogLevel.Debug)]
    [DataRow(LogLevel.Trace)] // writes inputs and metadata as JSON
    public async Task Requests_and_errors_are_logged(LogLevel minimum)
    {
        var logger = new ListLogger(minimum);
        using IEmbeddingGenerator<DataContent, Embedding<float>> logged = new SiglipEmbeddingGenerator("nano").AsBuilder()
            .Use(inner => new LoggingEmbeddingGenerator<DataContent, Embedding<float>>(inner, logger)).Build();

        await logged.GenerateAsync(Contents(2), cancellationToken: Token);
        await Assert.ThrowsExactlyAsync<ArgumentException>(() => logged.GenerateAsync(Contents(1), new() { Dimensions = 5 }, Token));

        Assert.IsTrue(logger.Messages.Any(message => message.Contains("generated 2 embedding", StringComparison.Ordinal)), string.Join('\n', logger.Messages));
        Assert.Contains("failed", logger.Messages[^1]);
        Assert.AreEqual(minimum == LogLevel.Trace, logger.Messages[0].Contains("\"defaultModelId\": \"nano\"", StringComparison.Ordinal));
    }

    [TestMethod]
    public async Task A_trace_has_the_provider_the_model_and_the_length()
    {
        List<Activity> activities = [];
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == nameof(PipelineTests),
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = activities.Add,
        };
        ActivitySource.AddActivityListener(listener);
        using IEmbeddingGenerator<DataContent, Embedding<float>> traced =
            new SiglipEmbeddingGenerator("nano").AsBuilder().UseOpenTelemetry(sourceName: nameof(PipelineTests)).Build();

        await traced.GenerateAsync(Contents(1), cancellationToken: Token);

        Activity activity = activities.Single();
        Assert.AreEqual("embeddings nano", activity.DisplayName);
        Assert.AreEqual("siglip", activity.GetTagItem("gen_ai.provider.name"));
        Assert.AreEqual("nano", activity.GetTagItem("gen_ai.response.model"));
        Assert.AreEqual(128, activity.GetTagItem("gen_ai.embeddings.dimension.count"));
    }

    [TestMethod]
    public async Task Options_set_by_the_pipeline_reach_the_generator()
    {
        using IEmbeddingGenerator<DataContent, Embedding<float>> generator =
            new SiglipEmbeddingGenerator("nano").AsBuilder().ConfigureOptions(options => options.Dimensions ??= 64).Build();

        await Assert.ThrowsExactlyAsync<ArgumentException>(() => generator.GenerateAsync(Contents(1), cancellationToken: Token));
        Assert.HasCount(1, await generator.GenerateAsync(Contents(1), new() { Dimensions = 128 }, Token));
    }

    [TestMethod]
    public async Task A_container_makes_one_generator_with_its_middleware_and_disposes_it()
    {
        CountingGenerator? counter = null;
        var services = new ServiceCollection();
        services.AddDistributedMemoryCache();
        services.AddEmbeddingGenerator(_ => counter = new CountingGenerator(new SiglipEmbeddingGenerator("nano"))).UseDistributedCache();
        ServiceProvider provider = services.BuildServiceProvider();
        var generator = provider.GetRequiredService<IEmbeddingGenerator<DataContent, Embedding<float>>>();

        AreSame(Vectors(await generator.GenerateAsync(Contents(2), cancellationToken: Token)), Vectors(await generator.GenerateAsync(Contents(2), cancellationToken: Token)));
        Assert.AreEqual(2, counter!.Images);
        Assert.AreSame(generator, provider.GetRequiredService<IEmbeddingGenerator>());
        SiglipImageEmbedder embedder = generator.GetRequiredService<SiglipImageEmbedder>();

        await provider.DisposeAsync();

        Assert.IsTrue(counter.IsDisposed);
        Assert.ThrowsExactly<ObjectDisposedException>(() => embedder.Embed(Files[0]));
    }

    [TestMethod]
    public async Task Semantic_Kernel_finds_generators_by_key()
    {
        var services = new ServiceCollection();
        services.AddKeyedEmbeddingGenerator("small", _ => new SiglipEmbeddingGenerator("nano"));
        services.AddKeyedEmbeddingGenerator("tiny", _ => new SiglipEmbeddingGenerator(Model("vision_only")));
        await using ServiceProvider provider = services.BuildServiceProvider();
        var kernel = new Kernel(provider);

        Assert.AreEqual(128, await Dimensions("small"));
        Assert.AreEqual(64, await Dimensions("tiny"));

        async Task<int> Dimensions(string key) => (await kernel.GetRequiredService<IEmbeddingGenerator<DataContent, Embedding<float>>>(key)
            .GenerateAsync(Load(Files[0]), cancellationToken: Token)).Dimensions;
    }

    private static MemoryDistributedCache Cache() => new(Options.Create(new MemoryDistributedCacheOptions()));
}
