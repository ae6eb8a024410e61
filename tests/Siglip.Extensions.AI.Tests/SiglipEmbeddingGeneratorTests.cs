using System.Text;
using Microsoft.Extensions.AI;
using Siglip.Core;
using Siglip.Core.Tests;
using TorchSharp;
using static Siglip.Extensions.AI.Tests.TestImages;

namespace Siglip.Extensions.AI.Tests;

[TestClass]
public sealed class SiglipEmbeddingGeneratorTests
{
    public TestContext TestContext { get; set; } = null!;

    private CancellationToken Token => TestContext.CancellationToken;

    [TestMethod]
    [DataRow("nano", null, false)]
    [DataRow("nano", SiglipEmbeddingOutputs.MeanPatchEmbedding, true)]
    [DataRow("vision_only", null, true)]
    [DataRow("no_head", null, false)]
    [DataRow("naflex", SiglipEmbeddingOutputs.PooledEmbedding, false)]
    public async Task The_embeddings_are_the_embedder_s_to_the_bit_in_the_order_of_the_images(string model, SiglipEmbeddingOutputs? output, bool normalize)
    {
        var options = new SiglipImageEmbedderOptions { Output = output, Normalize = normalize, BatchSize = 3, ApplyExifOrientation = true };
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(model == "nano" ? model : Model(model), options);
        using SiglipEmbeddingGenerator generator = embedder.AsIEmbeddingGenerator();
        SiglipImageEmbedding[] expected = await embedder.EmbedAsync(Files.ToAsyncEnumerable(), Token).ToArrayAsync(Token);

        GeneratedEmbeddings<Embedding<float>> found = await generator.GenerateAsync(Contents(), cancellationToken: Token);

        AreSame([.. expected.Select(embedding => embedding.Values)], Vectors(found));
        Assert.AreEqual(expected.Length, expected.DistinctBy(embedding => embedding.Values[0]).Count(), "the images are not told apart");
    }

    [TestMethod]
    public void A_model_of_the_hub_is_called_by_its_id()
    {
        string cache = Directory.CreateTempSubdirectory("siglip-hub-").FullName;
        try
        {
            PythonCache.Write(cache, "test/tiny", new string('1', 40), PlayRepository.FilesOf(Model("vision_only")));
            using var variables = new HubVariables(("HF_HUB_CACHE", cache));
            using var generator = new SiglipEmbeddingGenerator("test/tiny", new SiglipImageEmbedderOptions { Revision = "main" });
            Assert.AreEqual("test/tiny", ((EmbeddingGeneratorMetadata)((IEmbeddingGenerator)generator).GetService(typeof(EmbeddingGeneratorMetadata))!).DefaultModelId);
        }
        finally
        {
            Directory.Delete(cache, recursive: true);
        }
    }

    [TestMethod]
    public async Task A_data_URI_gives_the_embedding_of_its_bytes()
    {
        using var generator = new SiglipEmbeddingGenerator("nano");
        byte[] bytes = await File.ReadAllBytesAsync(Files[0], Token);

        // Each in a request of its own: where an image lies in a batch can change the last bit.
        float[] expected = await Embed(new DataContent(bytes, "image/png"));
        float[] fromUri = await Embed(new DataContent($"data:image/png;base64,{Convert.ToBase64String(bytes)}"));
        float[] withAnotherType = await Embed(new DataContent(Load(Files[0]).Uri, "IMAGE/jpeg"));

        AreSame([expected, expected], [fromUri, withAnotherType]);

        async Task<float[]> Embed(DataContent image) => (await generator.GenerateVectorAsync(image, cancellationToken: Token)).ToArray();
    }

    [TestMethod]
    public async Task One_image_by_the_extension_methods_of_the_abstractions()
    {
        using var generator = new SiglipEmbeddingGenerator("nano");
        DataContent image = Load(Files[0]);

        ReadOnlyMemory<float> vector = await generator.GenerateVectorAsync(image, cancellationToken: Token);
        (DataContent Input, Embedding<float> Embedding)[] zipped = await generator.GenerateAndZipAsync([image], cancellationToken: Token);

        AreSame([vector.ToArray()], Vectors([zipped[0].Embedding]));
        Assert.AreSame(image, zipped[0].Input);
    }

    [TestMethod]
    public async Task No_image_gives_no_embedding()
    {
        using var generator = new SiglipEmbeddingGenerator("nano");
        Assert.IsEmpty(await generator.GenerateAsync([], cancellationToken: Token));
    }

    [TestMethod]
    public async Task An_embedding_says_which_model_made_it_and_when()
    {
        using var generator = new SiglipEmbeddingGenerator("nano");
        DateTimeOffset before = DateTimeOffset.UtcNow;

        GeneratedEmbeddings<Embedding<float>> found = await generator.GenerateAsync(Contents(2), cancellationToken: Token);

        foreach (Embedding<float> embedding in found)
        {
            Assert.AreEqual("nano", embedding.ModelId);
            Assert.AreEqual(128, embedding.Dimensions);
            Assert.IsTrue(embedding.CreatedAt >= before && embedding.CreatedAt <= DateTimeOffset.UtcNow);
        }

        Assert.IsNull(found.Usage);
    }

    [TestMethod]
    public void The_metadata_name_the_model_but_not_where_it_lies()
    {
        using var nano = new SiglipEmbeddingGenerator("nano");
        using var folder = new SiglipEmbeddingGenerator(Model("vision_only") + Path.DirectorySeparatorChar);
        using var named = new SiglipEmbeddingGenerator(Model("vision_only"), modelId: "google/siglip-tiny");
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(Model("no_head"));
        using SiglipEmbeddingGenerator nameless = embedder.AsIEmbeddingGenerator();

        Assert.AreEqual(("siglip", null, "nano", 128), Metadata(nano));
        Assert.AreEqual(("siglip", null, "vision_only", 64), Metadata(folder));
        Assert.AreEqual(("siglip", null, "google/siglip-tiny", 64), Metadata(named));
        Assert.AreEqual(("siglip", null, null, 32), Metadata(nameless));

        static (string?, Uri?, string?, int?) Metadata(SiglipEmbeddingGenerator generator)
        {
            var found = (EmbeddingGeneratorMetadata)generator.GetService(typeof(EmbeddingGeneratorMetadata))!;
            return (found.ProviderName, found.ProviderUri, found.DefaultModelId, found.DefaultModelDimensions);
        }
    }

    [TestMethod]
    public void Services_are_the_metadata_the_embedder_and_the_generator_itself()
    {
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained("nano");
        using SiglipEmbeddingGenerator generator = embedder.AsIEmbeddingGenerator();

        Assert.AreSame(embedder, generator.GetService<SiglipImageEmbedder>());
        Assert.AreSame(generator, generator.GetService<SiglipEmbeddingGenerator>());
        Assert.AreSame(generator, generator.GetService<IEmbeddingGenerator>());
        Assert.AreSame(generator, generator.GetService(typeof(IEmbeddingGenerator<DataContent, Embedding<float>>)));
        Assert.AreSame(generator.GetService<EmbeddingGeneratorMetadata>(), generator.GetRequiredService<EmbeddingGeneratorMetadata>());
        Assert.IsNull(generator.GetService(typeof(SiglipImageEmbedder), "a key"));
        Assert.IsNull(generator.GetService(typeof(IEmbeddingGenerator<string, Embedding<float>>)));
        Assert.ThrowsExactly<ArgumentNullException>(() => generator.GetService(null!));
    }

    [TestMethod]
    public async Task Options_that_fit_the_model_change_nothing_and_are_left_as_they_are()
    {
        using var generator = new SiglipEmbeddingGenerator("nano");
        var options = new EmbeddingGenerationOptions
        {
            Dimensions = 128,
            ModelId = "nano",
            AdditionalProperties = new() { ["something"] = "else" },
            RawRepresentationFactory = _ => throw new InvalidOperationException("there is no raw representation"),
        };

        AreSame(Vectors(await generator.GenerateAsync(Contents(2), cancellationToken: Token)), Vectors(await generator.GenerateAsync(Contents(2), options, Token)));
        Assert.AreEqual((128, "nano", 1), (options.Dimensions, options.ModelId, options.AdditionalProperties.Count));
    }

    [TestMethod]
    public async Task Another_length_is_refused()
    {
        using var generator = new SiglipEmbeddingGenerator("nano");
        ArgumentException error = await Assert.ThrowsExactlyAsync<ArgumentException>(
            () => generator.GenerateAsync(Contents(1), new() { Dimensions = 64 }, Token));
        Assert.StartsWith("Dimensions is 64, but the embeddings of the model 'nano' have 128 values and cannot be shortened. Leave Dimensions out, or set it to 128.",
            error.Message);
    }

    [TestMethod]
    [DataRow("nano", "google/siglip-base-patch16-224", "this generator has the model 'nano', and no other.")]
    [DataRow("nano", "NANO", "this generator has the model 'nano', and no other.")]
    [DataRow(null, "nano", "this generator has the model without a name, and no other.")]
    public async Task Another_model_is_refused(string? modelId, string asked, string expected)
    {
        using var generator = new SiglipEmbeddingGenerator(SiglipImageEmbedder.FromPretrained("nano"), modelId: modelId);
        ArgumentException error = await Assert.ThrowsExactlyAsync<ArgumentException>(
            () => generator.GenerateAsync(Contents(1), new() { ModelId = asked }, Token));
        Assert.StartsWith($"ModelId is '{asked}', but {expected} Leave ModelId out, or make a generator for that model;", error.Message);
    }

    [TestMethod]
    public void Patch_embeddings_are_refused_when_the_generator_is_made()
    {
        var options = new SiglipImageEmbedderOptions { Output = SiglipEmbeddingOutputs.PatchEmbeddings };
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained("nano", options);
        const string Expected = "The output is PatchEmbeddings, one vector for each patch, but an embedding generator gives one vector for an image. "
            + "Set SiglipImageEmbedderOptions.Output to PooledEmbedding or MeanPatchEmbedding.";

        Assert.StartsWith(Expected, Assert.ThrowsExactly<ArgumentException>(() => embedder.AsIEmbeddingGenerator()).Message);
        Assert.StartsWith(Expected, Assert.ThrowsExactly<ArgumentException>(() => new SiglipEmbeddingGenerator(embedder)).Message);
        Assert.StartsWith(Expected, Assert.ThrowsExactly<ArgumentException>(() => new SiglipEmbeddingGenerator("nano", options)).Message);
        Assert.StartsWith(Expected, Assert.ThrowsExactly<ArgumentException>(() => new SiglipEmbeddingGenerator("no such model", options)).Message,
            "the weights are read first");
        Assert.HasCount(64 * 128, embedder.Embed(Files[0]), "the embedder is still its owner's");
    }

    [TestMethod]
    public void A_model_that_is_not_there_is_an_error_of_the_embedder()
    {
        Assert.ThrowsExactly<FileNotFoundException>(() => new SiglipEmbeddingGenerator("no such model"));
        Assert.ThrowsExactly<ArgumentNullException>(() => new SiglipEmbeddingGenerator((SiglipImageEmbedder)null!));
        Assert.ThrowsExactly<ArgumentNullException>(() => new SiglipEmbeddingGenerator((string)null!));
    }

    [TestMethod]
    [DataRow("notes.pdf", "application/pdf", "image 2 ('notes.pdf') has the media type application/pdf, expected one that begins with image/.")]
    [DataRow(null, "imagery/png", "image 2 has the media type imagery/png, expected one that begins with image/.")]
    [DataRow(null, "application/octet-stream", "image 2 has the media type application/octet-stream, expected one that begins with image/.")]
    public async Task Another_media_type_is_refused(string? name, string mediaType, string expected)
    {
        using var generator = new SiglipEmbeddingGenerator("nano");
        DataContent wrong = new(await File.ReadAllBytesAsync(Files[0], Token), mediaType) { Name = name };

        ArgumentException error = await Assert.ThrowsExactlyAsync<ArgumentException>(() => generator.GenerateAsync([.. Contents(2), wrong], cancellationToken: Token));

        Assert.StartsWith(expected + " If it is an image, say so when the DataContent is made; otherwise leave it out.", error.Message);
    }

    [TestMethod]
    public async Task No_images_at_all_and_a_missing_one_are_refused()
    {
        using var generator = new SiglipEmbeddingGenerator("nano");
        await Assert.ThrowsExactlyAsync<ArgumentNullException>(() => generator.GenerateAsync(null!, cancellationToken: Token));
        ArgumentException error = await Assert.ThrowsExactlyAsync<ArgumentException>(() => generator.GenerateAsync([Load(Files[0]), null!], cancellationToken: Token));
        Assert.StartsWith("image 1 is null, expected a DataContent with an encoded image.", error.Message);
    }

    [TestMethod]
    [DataRow(1, "cat.png", false)]
    [DataRow(1, null, false)]
    [DataRow(12, "cat.png", false)]
    [DataRow(12, "cat.png", true)]
    public async Task A_bad_image_is_named_by_its_position_and_its_name(int position, string? name, bool badImagesAreMissing)
    {
        using var generator = new SiglipEmbeddingGenerator("nano", new() { BatchSize = 5, BadImagesAreMissing = badImagesAreMissing });
        DataContent[] images = [.. Enumerable.Range(0, 14).Select(i => Load(Files[0]))];
        images[position] = new DataContent("no image"u8.ToArray(), "image/png") { Name = name };

        InvalidDataException error = await Assert.ThrowsExactlyAsync<InvalidDataException>(() => generator.GenerateAsync(images, cancellationToken: Token));

        Assert.StartsWith(name is null ? $"image {position} is no image that can be read:" : $"image {position} ('cat.png') is no image that can be read:", error.Message);
    }

    [TestMethod]
    public async Task An_image_that_the_preprocessing_does_not_take_is_named_too()
    {
        SiglipVisionConfig config = new() { HiddenSize = 8, IntermediateSize = 8, NumHiddenLayers = 1, NumAttentionHeads = 1, ImageSize = 16, PatchSize = 8 };
        using var generator = new SiglipEmbeddingGenerator(new SiglipImageEmbedder(
            new SiglipVisionModel(config), new SiglipImageProcessorConfig { Height = 16, Width = 16, DoResize = false }));

        InvalidDataException error = await Assert.ThrowsExactlyAsync<InvalidDataException>(() => generator.GenerateAsync(Contents(1), cancellationToken: Token));

        Assert.StartsWith("image 0 ('rgb.png'): ", error.Message);
    }

    [TestMethod]
    public async Task An_error_of_the_caller_s_own_sequence_comes_through()
    {
        using var generator = new SiglipEmbeddingGenerator("nano", new() { BatchSize = 1 });
        IOException error = await Assert.ThrowsExactlyAsync<IOException>(() => generator.GenerateAsync(
            Files.Select((path, i) => i < 3 ? Load(path) : throw new IOException("the share is gone")), cancellationToken: Token));
        Assert.AreEqual("the share is gone", error.Message);
    }

    [TestMethod]
    public async Task A_lazy_sequence_is_read_once_and_its_files_are_never_all_in_memory()
    {
        using var generator = new SiglipEmbeddingGenerator("nano", new() { BatchSize = 2 });
        int most = 0, read = 0;

        await generator.GenerateAsync(Lazily(), cancellationToken: Token);

        Assert.AreEqual(20, read);
        Assert.IsLessThanOrEqualTo(6, most, "files in memory"); // of the batch that is computed, of the next one, and the one after it while it is read

        IEnumerable<DataContent> Lazily()
        {
            List<WeakReference> files = [];
            for (; read < 20; read++)
            {
                byte[] bytes = File.ReadAllBytes(Files[0]);
                files.Add(new WeakReference(bytes));
                GC.Collect();
                most = Math.Max(most, files.Count(file => file.IsAlive));
                yield return new DataContent(bytes, "image/png");
            }
        }
    }

    [TestMethod]
    public async Task A_cancelled_request_stops_within_a_batch()
    {
        using var generator = new SiglipEmbeddingGenerator("nano", new() { BatchSize = 1 });
        using var stop = new CancellationTokenSource();
        int read = 0;

        await Assert.ThrowsAsync<OperationCanceledException>(() => generator.GenerateAsync(Images(), cancellationToken: stop.Token));

        Assert.IsLessThanOrEqualTo(10, read);
        await Assert.ThrowsAsync<OperationCanceledException>(() => generator.GenerateAsync([], cancellationToken: stop.Token));
        Assert.HasCount(1, await generator.GenerateAsync(Contents(1), cancellationToken: Token), "the generator still works");

        IEnumerable<DataContent> Images()
        {
            for (; read < 1000; read++)
            {
                if (read == 8)
                    stop.Cancel();
                yield return Load(Files[0]);
            }
        }
    }

    [TestMethod]
    public async Task Disposing_the_generator_disposes_an_embedder_that_it_has_taken_over_only()
    {
        using SiglipImageEmbedder owned = SiglipImageEmbedder.FromPretrained("nano");
        using SiglipImageEmbedder lent = SiglipImageEmbedder.FromPretrained("nano");
        var owner = new SiglipEmbeddingGenerator(owned);
        var borrower = new SiglipEmbeddingGenerator(lent, leaveOpen: true);
        var view = lent.AsIEmbeddingGenerator();
        var loaded = new SiglipEmbeddingGenerator("nano");

        foreach (SiglipEmbeddingGenerator generator in (SiglipEmbeddingGenerator[])[owner, borrower, view, loaded])
        {
            generator.Dispose();
            generator.Dispose();
        }

        Assert.ThrowsExactly<ObjectDisposedException>(() => owned.Embed(Files[0]));
        Assert.HasCount(128, lent.Embed(Files[0]));
        await Assert.ThrowsExactlyAsync<ObjectDisposedException>(() => owner.GenerateAsync(Contents(1), cancellationToken: Token));
        await Assert.ThrowsExactlyAsync<ObjectDisposedException>(() => loaded.GenerateAsync(Contents(1), cancellationToken: Token));
    }

    [TestMethod]
    public async Task Many_requests_at_once_give_the_same_bits_as_one_after_the_other()
    {
        using var generator = new SiglipEmbeddingGenerator("nano", new() { BatchSize = 4 });
        DataContent[][] requests = [.. Enumerable.Range(0, 32).Select(i => (DataContent[])[.. Contents().Skip(i % 5), .. Contents(i % 3)])];
        var expected = new float[requests.Length][][];
        for (int i = 0; i < requests.Length; i++)
            expected[i] = Vectors(await generator.GenerateAsync(requests[i], cancellationToken: Token));

        GeneratedEmbeddings<Embedding<float>>[] found = await Task.WhenAll(requests.Select(request => generator.GenerateAsync(request, cancellationToken: Token)));

        for (int i = 0; i < requests.Length; i++)
            AreSame(expected[i], Vectors(found[i]));
    }

    [TestMethod]
    public async Task A_caller_s_synchronization_context_is_left_alone()
    {
        using var generator = new SiglipEmbeddingGenerator("nano", new() { BatchSize = 1 });
        DataContent[] images = Contents();
        var context = new CountingContext();

        float[][] found = await Task.Run(() =>
        {
            SynchronizationContext.SetSynchronizationContext(context);
            try
            {
                return Vectors(generator.GenerateAsync(images, cancellationToken: Token).GetAwaiter().GetResult());
            }
            finally
            {
                SynchronizationContext.SetSynchronizationContext(null);
            }
        }, Token);

        Assert.HasCount(images.Length, found);
        Assert.AreEqual(0, context.Posts);
    }

    [TestMethod]
    public void Tensors_do_not_pile_up()
    {
        using var generator = new SiglipEmbeddingGenerator("nano", new() { BatchSize = 3 });
        DataContent bad = new("no image"u8.ToArray(), "image/png");
        UseIt();

        // The count of all threads: the work is done on those of the pool.
        long before = torch.Tensor.TotalCount;
        for (int i = 0; i < 5; i++)
            UseIt();
        Assert.AreEqual(before, torch.Tensor.TotalCount);

        Assert.AreEqual(0, TensorCount.LeftBy(() => new SiglipEmbeddingGenerator("nano").Dispose()));

        void UseIt()
        {
            generator.GenerateAsync(Contents(), cancellationToken: Token).Wait(Token);
            Assert.Throws<AggregateException>(() => generator.GenerateAsync([.. Contents(), bad], cancellationToken: Token).Wait(Token));
        }
    }

    private sealed class CountingContext : SynchronizationContext
    {
        private int _posts;

        public int Posts => _posts;

        public override void Post(SendOrPostCallback d, object? state)
        {
            Interlocked.Increment(ref _posts);
            base.Post(d, state);
        }
    }
}
