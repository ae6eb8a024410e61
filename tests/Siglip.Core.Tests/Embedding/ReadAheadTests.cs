using System.Buffers;

namespace Siglip.Core.Tests;

/// <summary>What happens beside the model: seen by counters and by who waits for whom, never by time.</summary>
[TestClass]
public sealed class ReadAheadTests
{
    private static readonly byte[][] Images = [.. ((string[])["rgb.png", "photo_420.jpg", "palette.png", "progressive_422.jpg", "rgba.png"]).Select(ReferenceImages.Bytes)];

    public TestContext TestContext { get; set; } = null!;

    private CancellationToken Token => TestContext.CancellationToken;

    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    [DataRow(7)]
    [Timeout(120_000, CooperativeCancellation = true)]
    public async Task Batches_have_the_bits_that_their_images_have_in_one_pass(int batchSize)
    {
        using SiglipImageEmbedder embedder = Embedder(batchSize);
        const int Count = 45;

        SiglipImageEmbedding[] found = await embedder.EmbedAsync(Encoded(Count), Token).ToArrayAsync(Token);

        CollectionAssert.AreEqual(Enumerable.Range(0, Count).ToArray(), found.Select(embedding => (int)embedding.Index).ToArray());
        foreach (int[] batch in Enumerable.Range(0, Count).Chunk(batchSize))
        {
            SiglipImageEmbeddings expected = embedder.EmbedBatch([.. batch.Select(i => RgbImage.Decode(Images[i % Images.Length]))], embedder.Output);
            for (int i = 0; i < batch.Length; i++)
                CollectionAssert.AreEqual(expected.Get(embedder.Output, i).ToArray(), found[batch[i]].Values, $"image {batch[i]}");
        }
    }

    [TestMethod]
    [DataRow(1)]
    [DataRow(3)]
    [Timeout(120_000, CooperativeCancellation = true)]
    public async Task The_input_is_read_ahead_while_the_consumer_is_busy_but_no_further_than_some_batches(int batchSize)
    {
        using SiglipImageEmbedder embedder = Embedder(batchSize);
        int ahead = embedder.BatchesAhead(batchSize), read = 0, consumed = 0;
        var isAhead = new TaskCompletionSource();

        await foreach (SiglipImageEmbedding embedding in embedder.EmbedAsync(Source(), Token))
        {
            await isAhead.Task.WaitAsync(Token); // for ever if the next batch is not read meanwhile
            consumed++;
            Assert.IsLessThanOrEqualTo(batchSize * (2 + ahead), Volatile.Read(ref read) - consumed);
        }

        Assert.AreEqual(40, consumed);

        async IAsyncEnumerable<ReadOnlyMemory<byte>> Source()
        {
            for (int i = 0; i < 40; i++)
            {
                if (i == (2 * batchSize) - 1)
                    isAhead.TrySetResult();
                await Task.Yield();
                Interlocked.Increment(ref read);
                yield return Images[i % Images.Length];
            }
        }
    }

    [TestMethod]
    [Timeout(120_000, CooperativeCancellation = true)]
    public async Task Many_sequences_at_once_with_batches_of_one_image_all_end()
    {
        using SiglipImageEmbedder embedder = Embedder(batchSize: 1);
        float[][] expected = [.. Images.Select(image => embedder.Embed(image))];

        await Task.WhenAll(Enumerable.Range(0, 12).Select(_ => Task.Run(async () =>
        {
            await foreach (SiglipImageEmbedding embedding in embedder.EmbedAsync(Encoded(20), Token))
                CollectionAssert.AreEqual(expected[embedding.Index % Images.Length], embedding.Values);
        })));
    }

    [TestMethod]
    [Timeout(120_000, CooperativeCancellation = true)]
    public async Task A_bad_image_in_the_middle_ends_the_sequence_after_the_batches_before_it()
    {
        using SiglipImageEmbedder embedder = Embedder(batchSize: 2);
        List<long> found = [];

        InvalidDataException error = await Assert.ThrowsExactlyAsync<InvalidDataException>(async () =>
        {
            await foreach (SiglipImageEmbedding embedding in embedder.EmbedAsync(Encoded(30, bad: 13), Token))
                found.Add(embedding.Index);
        });

        StringAssert.StartsWith(error.Message, "image 13 is no image");
        CollectionAssert.AreEqual(Enumerable.Range(0, 12).Select(i => (long)i).ToArray(), found);
    }

    [TestMethod]
    [Timeout(120_000, CooperativeCancellation = true)]
    public async Task Leaving_early_waits_for_the_image_in_work_and_no_other_one_is_touched_afterwards()
    {
        using SiglipImageEmbedder embedder = Embedder(batchSize: 1);
        using var watched = new WatchedBytes(Images[1]);
        Task letting = Task.CompletedTask;

        await foreach (SiglipImageEmbedding embedding in embedder.EmbedAsync(Source(), Token))
        {
            if (embedding.Index < 2)
                continue;
            await watched.Touched.WaitAsync(Token); // image 3 is being decoded, and goes no further until it may
            letting = Task.Run(watched.LetGo, Token);
            break;
        }

        int reads = watched.Reads;
        Assert.IsTrue(watched.MayGo, "the sequence was left while an image was being decoded");
        await letting;
        Assert.AreEqual(reads, watched.Reads);

        async IAsyncEnumerable<ReadOnlyMemory<byte>> Source()
        {
            for (int i = 0; i < 3; i++)
                yield return Images[i];
            await Task.Yield();
            yield return watched.Memory;
            for (int i = 0; i < 100; i++)
                yield return Images[1];
        }
    }

    [TestMethod]
    [Timeout(120_000, CooperativeCancellation = true)]
    public void A_loop_runs_for_each_number_once_whoever_does_it()
    {
        for (int round = 0; round < 50; round++)
        {
            var runs = new int[40];
            var loop = AwaitedLoop.Begin(runs.Length, i => Interlocked.Increment(ref runs[i]), CancellationToken.None);
            if (round % 2 == 0)
                Thread.Yield();
            loop.Finish();
            Assert.IsTrue(runs.All(count => count == 1), $"round {round}");
        }
    }

    [TestMethod]
    [Timeout(120_000, CooperativeCancellation = true)]
    public void A_loop_throws_what_its_body_throws_and_a_cancelled_one_says_so()
    {
        var failing = AwaitedLoop.Begin(9, i => throw new FileNotFoundException($"{i}"), CancellationToken.None);
        Assert.ThrowsExactly<FileNotFoundException>(failing.Finish);
        failing.Leave();

        using var stop = new CancellationTokenSource();
        using var begun = new SemaphoreSlim(0);
        using var mayEnd = new ManualResetEventSlim();
        int ended = 0, most = BackgroundScheduler.Shared.MaximumConcurrencyLevel;
        var stopped = AwaitedLoop.Begin(
            10 * most,
            _ =>
            {
                begun.Release();
                mayEnd.Wait(Token);
                Interlocked.Increment(ref ended);
            },
            stop.Token);
        begun.Wait(Token);
        stop.Cancel();
        mayEnd.Set();
        stopped.Leave();

        Assert.IsInRange(1, most, ended);
        int before = ended;
        Assert.Throws<OperationCanceledException>(stopped.Finish);
        Assert.AreEqual(before, ended);
    }

    [TestMethod]
    [Timeout(120_000, CooperativeCancellation = true)]
    public void In_the_background_there_are_no_more_threads_than_processors()
    {
        int running = 0, most = 0;
        var loop = AwaitedLoop.Begin(
            200,
            _ =>
            {
                int now = Interlocked.Increment(ref running);
                InterlockedMax(ref most, now);
                Thread.Yield();
                Interlocked.Decrement(ref running);
            },
            CancellationToken.None);
        loop.Leave(); // without taking part

        Assert.IsInRange(1, Environment.ProcessorCount, most);

        static void InterlockedMax(ref int most, int value)
        {
            int seen = Volatile.Read(ref most);
            while (value > seen && Interlocked.CompareExchange(ref most, value, seen) is var found && found != seen)
                seen = found;
        }
    }

    private static SiglipImageEmbedder Embedder(int batchSize) =>
        SiglipImageEmbedder.FromPretrained(ReferenceModels.Folder("vision_only"), new() { BatchSize = batchSize });

    private static async IAsyncEnumerable<ReadOnlyMemory<byte>> Encoded(int count, int bad = -1)
    {
        for (int i = 0; i < count; i++)
        {
            await Task.Yield();
            yield return i == bad ? new byte[] { 1, 2, 3 } : Images[i % Images.Length];
        }
    }

    /// <summary>An encoded image that says when it is read, and waits then.</summary>
    private sealed class WatchedBytes(byte[] bytes) : MemoryManager<byte>
    {
        private readonly TaskCompletionSource _touched = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly ManualResetEventSlim _mayGo = new();
        private int _reads;

        public Task Touched => _touched.Task;

        public bool MayGo => _mayGo.IsSet;

        public int Reads => Volatile.Read(ref _reads);

        public void LetGo() => _mayGo.Set();

        public override Span<byte> GetSpan()
        {
            Interlocked.Increment(ref _reads);
            _touched.TrySetResult();
            _mayGo.Wait();
            return bytes;
        }

        public override MemoryHandle Pin(int elementIndex = 0) => bytes.AsMemory(elementIndex).Pin();

        public override void Unpin()
        {
        }

        protected override void Dispose(bool disposing) => _mayGo.Dispose();
    }
}
