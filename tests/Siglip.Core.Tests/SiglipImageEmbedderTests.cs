using System.Runtime.CompilerServices;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class SiglipImageEmbedderTests
{
    private static readonly string[] Files = [.. ((string[])["rgb.png", "palette.png", "rgba.png", "tall_5x900.png", "photo_420.jpg"])
        .Select(name => ReferenceModels.PathOf("preprocess", "images", name))];

    public TestContext TestContext { get; set; } = null!;

    private CancellationToken Token => TestContext.CancellationToken;

    [TestMethod]
    public async Task A_sequence_gives_each_file_s_embedding_in_order_and_the_last_partial_batch()
    {
        using SiglipImageEmbedder embedder = Embedder(new() { BatchSize = 2 });

        SiglipImageEmbedding[] found = await embedder.EmbedAsync(Files.ToAsyncEnumerable(), Token).ToArrayAsync(Token);

        Assert.HasCount(Files.Length, found);
        for (int i = 0; i < Files.Length; i++)
        {
            Assert.AreEqual(i, found[i].Index);
            Assert.IsNull(found[i].Error);
            AssertNear(embedder.Embed(Files[i]), found[i].Values);
        }
    }

    [TestMethod]
    public async Task Files_bytes_and_images_give_the_same_embeddings()
    {
        using SiglipImageEmbedder embedder = Embedder();

        SiglipImageEmbedding[] files = await embedder.EmbedAsync(Files.ToAsyncEnumerable(), Token).ToArrayAsync(Token);
        SiglipImageEmbedding[] bytes = await embedder.EmbedAsync(Files.Select(path => (ReadOnlyMemory<byte>)File.ReadAllBytes(path)).ToAsyncEnumerable(), Token)
            .ToArrayAsync(Token);
        SiglipImageEmbedding[] images = await embedder.EmbedAsync(Files.Select(path => RgbImage.Load(path)).ToAsyncEnumerable(), Token).ToArrayAsync(Token);

        for (int i = 0; i < Files.Length; i++)
        {
            CollectionAssert.AreEqual(files[i].Values, bytes[i].Values);
            CollectionAssert.AreEqual(files[i].Values, images[i].Values);
        }

        CollectionAssert.AreEqual(embedder.Embed(Files[0]), embedder.Embed(File.ReadAllBytes(Files[0])));
    }

    [TestMethod]
    [Timeout(60_000, CooperativeCancellation = true)]
    public async Task Embeddings_come_before_the_next_image_does()
    {
        using SiglipImageEmbedder embedder = Embedder(new() { BatchSize = 1 });
        var consumed = new TaskCompletionSource();

        await foreach (SiglipImageEmbedding embedding in embedder.EmbedAsync(Source(), Token))
            consumed.TrySetResult();

        async IAsyncEnumerable<string> Source()
        {
            yield return Files[0];
            await consumed.Task.WaitAsync(Token); // waits for ever if the first result is withheld
            yield return Files[1];
        }
    }

    [TestMethod]
    public async Task What_is_computed_comes_before_the_source_s_exception()
    {
        using SiglipImageEmbedder embedder = Embedder(new() { BatchSize = 2 });
        List<SiglipImageEmbedding> found = [];

        IOException error = await Assert.ThrowsExactlyAsync<IOException>(async () =>
        {
            await foreach (SiglipImageEmbedding embedding in embedder.EmbedAsync(Source(), Token))
                found.Add(embedding);
        });

        Assert.AreEqual("the share is gone", error.Message);
        Assert.HasCount(2, found);

        static async IAsyncEnumerable<string> Source()
        {
            yield return Files[0];
            yield return Files[1];
            await Task.Yield();
            throw new IOException("the share is gone");
        }
    }

    [TestMethod]
    public async Task Cancelling_ends_the_sequence_before_the_next_batch()
    {
        using SiglipImageEmbedder embedder = Embedder(new() { BatchSize = 1 });
        using var cancellation = new CancellationTokenSource();
        int found = 0;

        await Assert.ThrowsAsync<OperationCanceledException>(async () =>
        {
            await foreach (SiglipImageEmbedding embedding in embedder.EmbedAsync(Forever(), cancellation.Token))
            {
                if (++found == 2)
                    await cancellation.CancelAsync();
            }
        });

        Assert.IsLessThanOrEqualTo(3, found);

        static async IAsyncEnumerable<string> Forever([EnumeratorCancellation] CancellationToken cancellationToken = default)
        {
            while (true)
            {
                await Task.Delay(1, cancellationToken);
                yield return Files[0];
            }
        }
    }

    [TestMethod]
    [Timeout(60_000, CooperativeCancellation = true)]
    public async Task Leaving_a_sequence_early_ends_its_source()
    {
        using SiglipImageEmbedder embedder = Embedder(new() { BatchSize = 1 });
        bool ended = false;

        await foreach (SiglipImageEmbedding embedding in embedder.EmbedAsync(Source(), Token))
            break;

        Assert.IsTrue(ended);

        async IAsyncEnumerable<string> Source([EnumeratorCancellation] CancellationToken cancellationToken = default)
        {
            try
            {
                yield return Files[0];
                await Task.Delay(Timeout.Infinite, cancellationToken);
            }
            finally
            {
                ended = true;
            }
        }
    }

    [TestMethod]
    public async Task A_bad_image_ends_the_sequence_with_its_own_error()
    {
        using SiglipImageEmbedder embedder = Embedder(new() { BatchSize = 3 });
        ReadOnlyMemory<byte>[] images = [.. Files.Take(4).Select(path => (ReadOnlyMemory<byte>)File.ReadAllBytes(path)), "no image"u8.ToArray()];

        InvalidDataException error = await Assert.ThrowsExactlyAsync<InvalidDataException>(
            async () => await embedder.EmbedAsync(images.ToAsyncEnumerable(), Token).ToArrayAsync(Token));

        Assert.StartsWith("image 4 is no image that can be read", error.Message);
    }

    [TestMethod]
    public async Task Bad_images_are_missing_if_asked_for_and_the_others_stay()
    {
        using SiglipImageEmbedder embedder = Embedder(new() { BatchSize = 2, BadImagesAreMissing = true });
        string missing = Path.Combine(Path.GetTempPath(), Guid.NewGuid().ToString("N"), "none.png");

        SiglipImageEmbedding[] found = await embedder.EmbedAsync(((string[])[Files[0], missing, Files[1]]).ToAsyncEnumerable(), Token).ToArrayAsync(Token);

        Assert.IsNull(found[0].Error);
        AssertNear(embedder.Embed(Files[0]), found[0].Values);
        Assert.IsInstanceOfType<FileNotFoundException>(found[1].Error);
        Assert.IsTrue(found[1].Values.All(float.IsNaN));
        AssertNear(embedder.Embed(Files[1]), found[2].Values);
    }

    [TestMethod]
    public async Task An_image_of_another_size_is_refused_by_name_if_images_are_not_resized()
    {
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));
        using var embedder = new SiglipImageEmbedder(model, new SiglipImageProcessorConfig { Height = 32, Width = 32, DoResize = false });
        RgbImage[] images = [new(4, 4, new byte[48]), new(32, 32, new byte[3072])];

        Assert.Contains("do_resize is false", Assert.ThrowsExactly<ArgumentException>(() => embedder.EmbedBatch(images, embedder.Output)).Message);
        Assert.AreEqual("image 0: The image has 4 x 4 pixels (width x height), expected 32 x 32, because do_resize is false. Resize the image first, or set "
            + "do_resize to true.", (await Assert.ThrowsExactlyAsync<InvalidDataException>(
            async () => await embedder.EmbedAsync(images.ToAsyncEnumerable(), Token).ToArrayAsync(Token))).Message);
        Assert.StartsWith($"'{Files[0]}': The image has ", Assert.ThrowsExactly<InvalidDataException>(() => embedder.Embed(Files[0])).Message);
    }

    [TestMethod]
    public async Task An_image_of_another_size_is_missing_where_that_is_asked_for()
    {
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));
        using var embedder = new SiglipImageEmbedder(
            model, new SiglipImageProcessorConfig { Height = 32, Width = 32, DoResize = false }, new SiglipImageEmbedderOptions { BadImagesAreMissing = true });
        RgbImage[] images = [new(32, 32, new byte[3072]), new(4, 4, new byte[48])];

        SiglipImageEmbedding[] found = await embedder.EmbedAsync(images.ToAsyncEnumerable(), Token).ToArrayAsync(Token);

        Assert.IsNull(found[0].Error);
        Assert.IsTrue(found[0].Values.All(float.IsFinite));
        Assert.StartsWith("image 1: ", found[1].Error!.Message);
        Assert.IsTrue(found[1].Values.All(float.IsNaN));
    }

    [TestMethod]
    public void Null_arguments_are_refused_at_the_call()
    {
        using SiglipImageEmbedder embedder = Embedder();

        Assert.ThrowsExactly<ArgumentNullException>(() => embedder.EmbedAsync((IAsyncEnumerable<string>)null!, default));
        Assert.ThrowsExactly<ArgumentNullException>(() => embedder.EmbedAsync((IAsyncEnumerable<RgbImage>)null!, default));
        Assert.ThrowsExactly<ArgumentNullException>(() => embedder.EmbedAsync((IAsyncEnumerable<ReadOnlyMemory<byte>>)null!, default));
        Assert.Contains("One of the images is null.", Assert.ThrowsExactly<ArgumentException>(
            () => embedder.EmbedBatch([RgbImage.Load(Files[0]), null!], embedder.Output)).Message);
        Assert.Contains("There are no images.", Assert.ThrowsExactly<ArgumentException>(() => embedder.EmbedBatch([], embedder.Output)).Message);
    }

    [TestMethod]
    public void Normalized_embeddings_are_the_others_scaled_to_length_1()
    {
        using SiglipImageEmbedder plain = Embedder(), normalizing = Embedder(new() { Normalize = true });
        float[] values = plain.Embed(Files[0]);
        double length = Math.Sqrt(values.Sum(value => (double)value * value));

        AssertNear([.. values.Select(value => (float)(value / length))], normalizing.Embed(Files[0]));
    }

    [TestMethod]
    [DataRow(SiglipEmbeddingOutputs.PatchEmbeddings)]
    [DataRow(SiglipEmbeddingOutputs.PooledEmbedding)]
    [DataRow(SiglipEmbeddingOutputs.MeanPatchEmbedding)]
    public void The_output_asked_for_is_the_one_that_Embed_returns(SiglipEmbeddingOutputs output)
    {
        using SiglipImageEmbedder plain = Embedder(), embedder = Embedder(new() { Output = output });

        Assert.AreEqual(output, embedder.Output);
        float[] expected = plain.EmbedBatch([RgbImage.Load(Files[0])], output).Values(output);
        CollectionAssert.AreEqual(expected, embedder.Embed(Files[0]));
        Assert.HasCount(embedder.GetLength(output), expected);
    }

    [TestMethod]
    public void A_model_without_pooling_head_gives_the_mean_patch_embedding_and_refuses_the_pooled_one()
    {
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(ReferenceModels.Folder("no_head"));

        Assert.AreEqual(SiglipEmbeddingOutputs.MeanPatchEmbedding, embedder.Output);
        Assert.Contains("no pooling head", Assert.ThrowsExactly<ArgumentException>(
            () => embedder.EmbedBatch([RgbImage.Load(Files[0])], SiglipEmbeddingOutputs.PooledEmbedding)).Message);
        Assert.Contains("no pooling head", Assert.ThrowsExactly<ArgumentException>(() => SiglipImageEmbedder.FromPretrained(
            ReferenceModels.Folder("no_head"), new() { Output = SiglipEmbeddingOutputs.PooledEmbedding })).Message);
    }

    [TestMethod]
    [DataRow(SiglipEmbeddingOutputs.None)]
    [DataRow((SiglipEmbeddingOutputs)8)]
    [DataRow((SiglipEmbeddingOutputs)10)]
    public void No_output_and_unknown_ones_are_refused(SiglipEmbeddingOutputs outputs)
    {
        using SiglipImageEmbedder embedder = Embedder();

        Assert.StartsWith($"The outputs are {outputs}, expected", Assert.ThrowsExactly<ArgumentException>(
            () => embedder.EmbedBatch([RgbImage.Load(Files[0])], outputs)).Message);
    }

    [TestMethod]
    public void Combined_outputs_have_no_length_and_are_no_output_of_an_embedder()
    {
        const SiglipEmbeddingOutputs Both = SiglipEmbeddingOutputs.PooledEmbedding | SiglipEmbeddingOutputs.MeanPatchEmbedding;
        using SiglipImageEmbedder embedder = Embedder();

        Assert.StartsWith("The output is PooledEmbedding, Mean", Assert.ThrowsExactly<ArgumentException>(() => embedder.GetLength(Both)).Message);
        Assert.StartsWith("The output is PooledEmbedding, Mean", Assert.ThrowsExactly<ArgumentException>(() => Embedder(new() { Output = Both })).Message);
    }

    [TestMethod]
    public void More_images_than_one_array_holds_are_refused()
    {
        using SiglipImageEmbedder embedder = Embedder();
        RgbImage image = RgbImage.Load(Files[0]);

        ArgumentException error = Assert.ThrowsExactly<ArgumentException>(
            () => embedder.EmbedBatch(new SameImage(image, 1_000_000), SiglipEmbeddingOutputs.PooledEmbedding));

        Assert.StartsWith("There are 1,000,000 images, at most 699,050 fit into one forward pass. Use EmbedAsync", error.Message);
    }

    [TestMethod]
    public void Images_are_turned_as_their_EXIF_data_say_if_asked_for()
    {
        string turned = ReferenceImages.PathOf("exif_orientation_6.jpg");
        using SiglipImageEmbedder plain = Embedder(), turning = Embedder(new() { ApplyExifOrientation = true });

        CollectionAssert.AreEqual(plain.Embed(RgbImage.Load(turned)), plain.Embed(turned));
        CollectionAssert.AreEqual(plain.Embed(RgbImage.Load(turned, applyExifOrientation: true)), turning.Embed(turned));
        CollectionAssert.AreNotEqual(plain.Embed(turned), turning.Embed(turned));
    }

    [TestMethod]
    public void What_does_not_fit_the_model_is_refused()
    {
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));
        var processor = new SiglipImageProcessorConfig { Height = 32, Width = 32 };

        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => new SiglipImageEmbedder(model, processor, new() { BatchSize = 0 }));
        foreach (bool resize in (bool[])[true, false])
        {
            Assert.Contains("images of 32 x 24 pixels, the model expects 32 x 32", Assert.ThrowsExactly<ArgumentException>(
                () => new SiglipImageEmbedder(model, processor with { Width = 24, DoResize = resize })).Message);
        }

        Assert.Contains("The model expects images with 1 channel, but image files are read as RGB", Assert.ThrowsExactly<ArgumentException>(
            () => SiglipImageEmbedder.FromPretrained(ReferenceModels.Folder("odd_config"))).Message);
        Assert.ThrowsExactly<ArgumentException>(() => new SiglipImageEmbedder(model, processor, new() { Device = "gpu" }));
    }

    [TestMethod]
    public async Task A_disposed_embedder_embeds_nothing()
    {
        SiglipImageEmbedder embedder = Embedder();
        embedder.Dispose();
        embedder.Dispose();

        Assert.ThrowsExactly<ObjectDisposedException>(() => embedder.Embed(Files[0]));
        await Assert.ThrowsExactlyAsync<ObjectDisposedException>(async () => await embedder.EmbedAsync(Files.ToAsyncEnumerable(), Token).ToArrayAsync(Token));
    }

    [TestMethod]
    public async Task Disposal_during_passes_lets_them_end()
    {
        float[] expected;
        using (SiglipImageEmbedder reference = Embedder())
            expected = reference.Embed(Files[0]);
        SiglipImageEmbedder embedder = Embedder();
        RgbImage image = RgbImage.Load(Files[0]);
        using var first = new SemaphoreSlim(0);

        // Threads of their own: on a machine of two cores, they would leave the thread pool none for the rest of this test.
        Task[] workers = [.. Enumerable.Range(0, 2).Select(_ => Task.Factory.StartNew(() =>
        {
            bool signalled = false;
            try
            {
                while (true)
                {
                    AssertNear(expected, embedder.Embed(image));
                    if (!signalled)
                        first.Release();
                    signalled = true;
                }
            }
            catch (ObjectDisposedException)
            {
                Assert.IsTrue(signalled);
            }
        }, Token, TaskCreationOptions.LongRunning, TaskScheduler.Default))];
        Task started = Task.WhenAll(first.WaitAsync(Token), first.WaitAsync(Token));
        await Task.WhenAny([started, .. workers]); // a worker that fails ends before it has started
        embedder.Dispose();

        await Task.WhenAll(workers);
    }

    [TestMethod]
    public void Embedding_leaves_no_tensor_behind()
    {
        using SiglipImageEmbedder embedder = Embedder(new() { Normalize = true });
        RgbImage image = RgbImage.Load(Files[0]);
        const SiglipEmbeddingOutputs All =
            SiglipEmbeddingOutputs.PatchEmbeddings | SiglipEmbeddingOutputs.PooledEmbedding | SiglipEmbeddingOutputs.MeanPatchEmbedding;

        Assert.AreEqual(0, TensorCount.LeftBy(() => embedder.EmbedBatch([image, image], All)));
        Assert.AreEqual(0, TensorCount.LeftBy(() => Embedder().Dispose()));
    }

    private static SiglipImageEmbedder Embedder(SiglipImageEmbedderOptions? options = null) =>
        SiglipImageEmbedder.FromPretrained(ReferenceModels.Folder("vision_only"), options);

    // A batch rounds differently than a single image.
    private static void AssertNear(float[] expected, float[] actual)
    {
        Assert.HasCount(expected.Length, actual);
        for (int i = 0; i < expected.Length; i++)
            Assert.AreEqual(expected[i], actual[i], 1e-5, $"value {i}");
    }

    private sealed class SameImage(RgbImage image, int count) : IReadOnlyList<RgbImage>
    {
        public int Count => count;

        public RgbImage this[int index] => image;

        public IEnumerator<RgbImage> GetEnumerator() => Enumerable.Repeat(image, count).GetEnumerator();

        System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
