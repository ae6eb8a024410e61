using Microsoft.AspNetCore.Http;

namespace Siglip.Core.Tests;

/// <summary>What goes wrong on the way.</summary>
[TestClass]
public sealed class HubTransferTests
{
    [TestMethod]
    public async Task A_connection_that_breaks_is_gone_on_with()
    {
        using var test = new HubTest();
        int[] parts = [100_000, 0, 250_000];
        var answers = new Queue<int>(parts);
        test.Hub.Interference = async (request, context) =>
        {
            if (!request.IsStorage || !answers.TryDequeue(out int count))
                return false;
            await PlayHub.BreakOffAsync(context, test.Weights, request.From, count);
            return true;
        };
        HuggingFaceSnapshot snapshot = await test.DownloadAsync();
        CollectionAssert.AreEqual((long[])[0, 100_000, 100_000, 350_000], test.Hub.Requests.Where(request => request.IsStorage).Select(request => request.From).ToArray());
        CollectionAssert.AreEqual(test.Weights, File.ReadAllBytes(Path.Combine(snapshot.Folder, "model.safetensors")));
        Assert.HasCount(3, test.Time.Pauses);
    }

    [TestMethod]
    public async Task A_connection_that_brings_nothing_is_given_up_and_what_came_before_is_kept()
    {
        using var test = new HubTest();
        test.Hub.Interference = async (request, context) =>
        {
            if (!request.IsStorage)
                return false;
            await PlayHub.BreakOffAsync(context, test.Weights, request.From, request.From == 0 ? 150_000 : 0);
            return true;
        };
        Exception error = await Assert.ThrowsAsync<IOException>(() => test.DownloadAsync());
        Assert.Contains("'model.safetensors' stopped at 150,000 of 596,376 bytes", error.Message);
        Assert.AreEqual(150_000, new FileInfo(test.InCache("blobs", test.WeightsEtag + ".incomplete")).Length);
        Assert.HasCount(6, test.Hub.Requests.Where(request => request.IsStorage));
    }

    [TestMethod]
    [DataRow(123_456, false, DisplayName = "what Python left")]
    [DataRow(123_456, true, DisplayName = "damaged")]
    [DataRow(596_376, false, DisplayName = "all of it")]
    [DataRow(600_000, false, DisplayName = "too long")]
    public async Task What_an_earlier_attempt_left_is_gone_on_with_if_it_is_right(int length, bool isDamaged)
    {
        using var test = new HubTest();
        byte[] left = [.. test.Weights, .. new byte[10_000]];
        left[77] ^= (byte)(isDamaged ? 1 : 0);
        Directory.CreateDirectory(test.InCache("blobs"));
        File.WriteAllBytes(test.InCache("blobs", test.WeightsEtag + ".incomplete"), left[..length]);
        HuggingFaceSnapshot snapshot = await test.DownloadAsync();
        CollectionAssert.AreEqual(test.Weights, File.ReadAllBytes(Path.Combine(snapshot.Folder, "model.safetensors")));
        long[] expected = (length, isDamaged) switch { (123_456, false) => [123_456], (123_456, true) => [123_456, 0], (596_376, _) => [], _ => [0] };
        CollectionAssert.AreEqual(expected, test.Hub.Requests.Where(request => request.IsStorage).Select(request => request.From).ToArray());
    }

    [TestMethod]
    [DataRow(200)]
    [DataRow(416)]
    public async Task A_server_that_sends_no_parts_sends_all(int status)
    {
        using var test = new HubTest();
        Directory.CreateDirectory(test.InCache("blobs"));
        File.WriteAllBytes(test.InCache("blobs", test.WeightsEtag + ".incomplete"), test.Weights[..1000]);
        test.Hub.Interference = async (request, context) =>
        {
            if (!request.IsStorage || request.From == 0)
                return false;
            context.Response.StatusCode = status;
            if (status == 200)
                await context.Response.Body.WriteAsync(test.Weights);
            return true;
        };
        HuggingFaceSnapshot snapshot = await test.DownloadAsync();
        CollectionAssert.AreEqual(test.Weights, File.ReadAllBytes(Path.Combine(snapshot.Folder, "model.safetensors")));
    }

    [TestMethod]
    [DataRow("config.json", "git SHA-1")]
    [DataRow("model.safetensors", "SHA-256")]
    public async Task Contents_with_another_hash_are_refused_and_not_kept(string name, string hash)
    {
        using var test = new HubTest();
        byte[] contents = [.. test.Files[name]];
        string etag = PlayRepository.EtagOf(name, contents);
        contents[5] ^= 1;
        test.Hub.Interference = async (request, context) =>
        {
            if (request.Method != "GET" || request.File != (PlayRepository.IsStored(name) ? etag : name))
                return false;
            await context.Response.Body.WriteAsync(contents);
            return true;
        };
        Exception error = await Assert.ThrowsExactlyAsync<InvalidDataException>(() => test.DownloadAsync());
        Assert.StartsWith($"'{name}' of 'test/tiny' came with {hash} ", error.Message);
        Assert.Contains($"expected {etag}: it was changed on its way, and is not kept", error.Message);
        Assert.IsFalse(File.Exists(test.InCache("blobs", etag)));
        Assert.IsFalse(File.Exists(test.InCache("snapshots", test.Commit, name)));
        test.Hub.Interference = null;
        await test.DownloadAsync();
    }

    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public async Task Contents_of_another_size_are_refused(bool isAnnounced)
    {
        using var test = new HubTest();
        test.Hub.Interference = async (request, context) =>
        {
            if (!request.IsStorage)
                return false;
            context.Response.ContentLength = isAnnounced ? test.Weights.Length + 1 : null;
            await context.Response.Body.WriteAsync((byte[])[.. test.Weights, 0]);
            return true;
        };
        Exception error = await Assert.ThrowsExactlyAsync<InvalidDataException>(() => test.DownloadAsync());
        Assert.Contains("'model.safetensors' of 'test/tiny' comes with 596,377 bytes", error.Message);
        Assert.IsFalse(File.Exists(test.InCache("snapshots", test.Commit, "model.safetensors")));
    }

    [TestMethod]
    public async Task A_hub_that_asks_to_wait_is_asked_again_after_that_time()
    {
        using var test = new HubTest();
        int count = 0;
        test.Hub.Interference = (request, context) =>
        {
            if (request.ToString() != "HEAD model.safetensors" || count++ > 1)
                return Task.FromResult(false);
            context.Response.StatusCode = 429;
            context.Response.Headers.RetryAfter = "7";
            return Task.FromResult(true);
        };
        await test.DownloadAsync();
        CollectionAssert.AreEqual((TimeSpan[])[TimeSpan.FromSeconds(7), TimeSpan.FromSeconds(7)], test.Time.Pauses);
    }

    [TestMethod]
    public async Task A_hub_that_asks_to_wait_for_hours_is_not_waited_for()
    {
        using var test = new HubTest();
        test.Hub.Interference = (_, context) =>
        {
            context.Response.StatusCode = 429;
            context.Response.Headers.RetryAfter = "86400";
            return Task.FromResult(true);
        };
        Exception error = await Assert.ThrowsAsync<IOException>(() => test.DownloadAsync());
        Assert.Contains("takes no more requests for now (status 429); it asks to wait for 86,400 seconds; with a token in HF_TOKEN more of them are allowed", error.Message);
        Assert.IsEmpty(test.Time.Pauses);
    }

    [TestMethod]
    public async Task A_hub_that_is_out_of_order_is_asked_again_after_longer_and_longer_pauses()
    {
        using var test = new HubTest();
        test.Hub.Interference = (_, context) => Task.FromResult((context.Response.StatusCode = 503) == 503);
        Exception error = await Assert.ThrowsExactlyAsync<IOException>(() => test.DownloadAsync());
        Assert.Contains("answers with status 503, and 'test/tiny@main' is not in the cache", error.Message);
        Assert.HasCount(5, test.Time.Pauses);
        Assert.HasCount(6, test.Hub.Requests);
        Assert.IsTrue(test.Time.Pauses.All(pause => pause <= TimeSpan.FromSeconds(8)));
    }

    [TestMethod]
    public async Task A_server_that_falls_silent_is_left()
    {
        using var test = new HubTest();
        test.Hub.Interference = async (request, context) =>
        {
            if (!request.IsStorage || request.From > 0)
                return false;
            context.Response.ContentLength = test.Weights.Length;
            await context.Response.Body.WriteAsync(test.Weights.AsMemory(0, 1000));
            await context.Response.Body.FlushAsync();
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
            return true;
        };
        HuggingFaceSnapshot snapshot = await test.DownloadAsync(test.Options with { DownloadTimeout = TimeSpan.FromSeconds(1) });
        Assert.Contains(1000, test.Hub.Requests.Where(request => request.IsStorage).Select(request => request.From));
        CollectionAssert.AreEqual(test.Weights, File.ReadAllBytes(Path.Combine(snapshot.Folder, "model.safetensors")));
    }

    [TestMethod]
    public async Task Files_for_which_there_is_no_room_are_not_begun()
    {
        using var test = new HubTest();
        test.Hub.Interference = (request, context) =>
        {
            if (request.ToString() != "HEAD model.safetensors")
                return Task.FromResult(false);
            context.Response.Headers["X-Repo-Commit"] = test.Commit;
            context.Response.Headers.ETag = $"\"{test.WeightsEtag}\"";
            context.Response.ContentLength = 1L << 60;
            return Task.FromResult(true);
        };
        Exception error = await Assert.ThrowsExactlyAsync<IOException>(() => test.DownloadAsync());
        Assert.StartsWith($"'test/tiny' needs 1,152,921,504,606,846,976 more bytes in the cache '{test.Cache}', and its disk has ", error.Message);
        Assert.Contains("make room, or choose another folder by the variable HF_HOME", error.Message);
        Assert.DoesNotContain("GET model.safetensors", test.Hub.Log);
    }
}
