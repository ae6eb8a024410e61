using Microsoft.AspNetCore.Http;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class HuggingFaceHubTests
{
    [TestMethod]
    public async Task A_model_is_laid_out_in_the_cache_by_the_rules_of_Python()
    {
        using var test = new HubTest();
        HuggingFaceSnapshot snapshot = await test.DownloadAsync();

        string config = PlayRepository.EtagOf("config.json", test.Files["config.json"]), preprocessor = PlayRepository.EtagOf("preprocessor_config.json", test.Files["preprocessor_config.json"]);
        string[] blobs = [config, preprocessor, test.WeightsEtag];
        string[] expected =
        [
            $"models--test--tiny/.no_exist/{test.Commit}/processor_config.json",
            .. blobs.Select(etag => $"models--test--tiny/blobs/{etag}"),
            .. blobs.Select(etag => $".locks/models--test--tiny/{etag}.lock"),
            "models--test--tiny/refs/main",
            $"models--test--tiny/snapshots/{test.Commit}/config.json -> ../../blobs/{config}",
            $"models--test--tiny/snapshots/{test.Commit}/model.safetensors -> ../../blobs/{test.WeightsEtag}",
            $"models--test--tiny/snapshots/{test.Commit}/preprocessor_config.json -> ../../blobs/{preprocessor}",
        ];
        CollectionAssert.AreEqual(expected.Order(StringComparer.Ordinal).ToArray(), test.Tree);
        Assert.AreEqual(test.Commit, File.ReadAllText(test.InCache("refs", "main")));
        Assert.AreEqual((HubTest.Id, test.Commit, test.InCache("snapshots", test.Commit), null), (snapshot.Model, snapshot.Commit, snapshot.Folder, snapshot.Note));
        CollectionAssert.AreEqual((string[])["config.json", "preprocessor_config.json", "model.safetensors"], snapshot.Files.ToArray());
        CollectionAssert.AreEqual(test.Weights, File.ReadAllBytes(Path.Combine(snapshot.Folder, "model.safetensors")));
    }

    [TestMethod]
    public async Task A_model_in_the_cache_costs_one_question_about_one_file()
    {
        using var test = new HubTest();
        await test.DownloadAsync();
        test.Hub.Forget();
        await test.DownloadAsync();
        CollectionAssert.AreEqual((string[])["HEAD config.json"], test.Hub.Log);
    }

    [TestMethod]
    public async Task A_commit_in_the_cache_costs_no_question()
    {
        using var test = new HubTest();
        HuggingFaceSnapshot first = await test.DownloadAsync();
        test.Hub.Forget();
        HuggingFaceSnapshot second = await test.DownloadAsync(model: first.PinnedName);
        Assert.IsEmpty(test.Hub.Log);
        Assert.AreEqual(first.Folder, second.Folder);
    }

    [TestMethod]
    public async Task Only_the_files_of_a_checkpoint_are_fetched()
    {
        using var test = new HubTest();
        test.Repository.Commit(new Dictionary<string, byte[]>(test.Files) { ["README.md"] = [1], ["pytorch_model.bin"] = [2], ["tf_model.h5"] = [3], ["tokenizer.json"] = [4] });
        await test.DownloadAsync();
        CollectionAssert.AreEquivalent(
            (string[])["HEAD config.json", "GET config.json", "HEAD processor_config.json", "HEAD preprocessor_config.json", "GET preprocessor_config.json",
                "HEAD model.safetensors", "GET model.safetensors", $"GET {test.WeightsEtag} (storage)"],
            test.Hub.Log);
    }

    [TestMethod]
    public async Task Shards_are_fetched_with_their_index()
    {
        using var test = new HubTest("sharded");
        HuggingFaceSnapshot snapshot = await test.DownloadAsync();
        CollectionAssert.AreEquivalent(test.Files.Keys.ToArray(), snapshot.Files.ToArray());
        using SiglipCheckpoint fetched = SiglipCheckpoint.Open(snapshot.Folder), original = SiglipCheckpoint.Open(ReferenceModels.Folder("sharded"));
        Assert.AreEqual(original.ComputeSha256(), fetched.ComputeSha256());
    }

    [TestMethod]
    public async Task The_processor_config_of_transformers_5_takes_the_place_of_the_preprocessor_config()
    {
        using var test = new HubTest();
        byte[] processor = [.. "{\"image_processor\":"u8, .. test.Files["preprocessor_config.json"], .. "}"u8];
        test.Repository.Commit(new Dictionary<string, byte[]>(test.Files) { ["processor_config.json"] = processor });
        HuggingFaceSnapshot snapshot = await test.DownloadAsync();
        Assert.Contains("processor_config.json", snapshot.Files);
        Assert.DoesNotContain("preprocessor_config.json", snapshot.Files);
        Assert.DoesNotContain("GET preprocessor_config.json", test.Hub.Log);
        SiglipCheckpoint.Open(snapshot.Folder).Dispose();
    }

    [TestMethod]
    public async Task A_new_commit_is_fetched_as_far_as_it_differs()
    {
        using var test = new HubTest();
        HuggingFaceSnapshot old = await test.DownloadAsync();
        test.Repository.Commit(new Dictionary<string, byte[]>(test.Files) { ["config.json"] = [.. test.Files["config.json"], (byte)'\n'] });
        test.Hub.Forget();
        HuggingFaceSnapshot now = await test.DownloadAsync();

        Assert.AreNotEqual(old.Commit, now.Commit);
        Assert.AreEqual(now.Commit, File.ReadAllText(test.InCache("refs", "main")));
        Assert.IsTrue(Directory.Exists(old.Folder));
        Assert.DoesNotContain($"GET {test.WeightsEtag} (storage)", test.Hub.Log);
        Assert.HasCount(4, Directory.GetFiles(test.InCache("blobs")));
        CollectionAssert.AreEqual(test.Weights, File.ReadAllBytes(Path.Combine(now.Folder, "model.safetensors")));
    }

    [TestMethod]
    [DataRow("v1")]
    [DataRow("refs/pr/3")]
    public async Task A_revision_is_a_branch_or_a_tag(string revision)
    {
        using var test = new HubTest();
        string commit = test.Repository.Commit(new Dictionary<string, byte[]>(test.Files) { ["config.json"] = [.. test.Files["config.json"], (byte)' '] }, revision);
        Assert.AreEqual(commit, (await test.DownloadAsync(revision: revision)).Commit);
        Assert.AreEqual(commit, File.ReadAllText(test.InCache(["refs", .. revision.Split('/')])));
        Assert.IsFalse(File.Exists(test.InCache("refs", "main")));
        Assert.AreEqual(commit, (await test.DownloadAsync(test.Options with { Offline = true }, $"{HubTest.Id}@{revision}")).Commit);
    }

    [TestMethod]
    public async Task A_revision_is_a_commit()
    {
        using var test = new HubTest();
        string first = test.Commit;
        test.Repository.Commit(new Dictionary<string, byte[]>(test.Files) { ["config.json"] = [] });
        Assert.AreEqual(first, (await test.DownloadAsync(revision: first)).Commit);
        Assert.IsFalse(Directory.Exists(test.InCache("refs")));
    }

    [TestMethod]
    public async Task A_link_whose_file_is_gone_is_mended()
    {
        using var test = new HubTest();
        HuggingFaceSnapshot snapshot = await test.DownloadAsync();
        File.Delete(test.InCache("blobs", test.WeightsEtag));
        await test.DownloadAsync();
        CollectionAssert.AreEqual(test.Weights, File.ReadAllBytes(Path.Combine(snapshot.Folder, "model.safetensors")));
    }

    [TestMethod]
    public async Task Without_links_the_names_are_the_files()
    {
        using var test = new HubTest();
        HuggingFaceSnapshot snapshot = await test.DownloadAsync(test.Options with { UseSymbolicLinks = false });
        Assert.IsNull(new FileInfo(Path.Combine(snapshot.Folder, "model.safetensors")).LinkTarget);
        CollectionAssert.AreEqual(test.Weights, File.ReadAllBytes(Path.Combine(snapshot.Folder, "model.safetensors")));
        Assert.IsEmpty(Directory.GetFiles(test.InCache("blobs")));
        test.Hub.Forget();
        await test.DownloadAsync(test.Options with { UseSymbolicLinks = false });
        CollectionAssert.AreEqual((string[])["HEAD config.json"], test.Hub.Log);
    }

    [TestMethod]
    public async Task Progress_ends_with_all_bytes_of_the_weights()
    {
        using var test = new HubTest("sharded");
        var told = new List<HuggingFaceProgress>();
        await new HuggingFaceHub(test.Options).DownloadAsync(HubTest.Id, progress: new Listener(told));
        long total = test.Files.Where(file => file.Key.EndsWith(".safetensors", StringComparison.Ordinal)).Sum(file => (long)file.Value.Length);
        Assert.AreEqual(new HuggingFaceProgress(total, total), told[^1]);
        Assert.IsTrue(told.Zip(told.Skip(1)).All(pair => pair.First.Bytes <= pair.Second.Bytes && pair.First.TotalBytes == total));
    }

    [TestMethod]
    public async Task Several_at_once_fetch_every_file_once()
    {
        using var test = new HubTest("sharded");
        HuggingFaceSnapshot[] snapshots = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() => test.DownloadAsync())));
        Assert.AreEqual(1, snapshots.Select(snapshot => snapshot.Folder).Distinct().Count());
        PlayRequest[] fetched = [.. test.Hub.Requests.Where(request => request.Method == "GET" && (request.IsStorage || !PlayRepository.IsStored(request.File)))];
        CollectionAssert.AllItemsAreUnique(fetched.Select(request => request.File).ToArray());
    }

    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public async Task Two_at_once_with_links_or_without_fetch_every_file_once(bool useSymbolicLinks)
    {
        using var test = new HubTest();
        var bothAreThere = new TaskCompletionSource();
        int asked = 0;
        test.Hub.Interference = async (request, context) =>
        {
            if (request.ToString() == "HEAD model.safetensors" && Interlocked.Increment(ref asked) == 2)
                bothAreThere.SetResult();
            if (request.IsStorage)
                await bothAreThere.Task.WaitAsync(context.RequestAborted);
            return false;
        };
        HuggingFaceHubOptions options = test.Options with { UseSymbolicLinks = useSymbolicLinks, DownloadTimeout = TimeSpan.FromMinutes(2) };
        HuggingFaceSnapshot[] snapshots = await Task.WhenAll(Enumerable.Range(0, 2).Select(_ => Task.Run(() => test.DownloadAsync(options))));
        Assert.HasCount(1, test.Hub.Requests.Where(request => request.IsStorage));
        Assert.HasCount(useSymbolicLinks ? 3 : 0, Directory.GetFiles(test.InCache("blobs")));
        foreach (HuggingFaceSnapshot snapshot in snapshots)
            CollectionAssert.AreEqual(test.Weights, File.ReadAllBytes(Path.Combine(snapshot.Folder, "model.safetensors")));
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    public async Task A_lock_of_another_program_is_waited_for()
    {
        using var test = new HubTest();
        string path = Path.Combine(test.Cache, ".locks", "models--test--tiny", $"{test.WeightsEtag}.lock");
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var start = new System.Diagnostics.ProcessStartInfo("flock", ["--exclusive", path, "sh", "-c", "echo held; read line"]) { RedirectStandardInput = true, RedirectStandardOutput = true };
        using var other = System.Diagnostics.Process.Start(start)!; // flock(2), as Python's filelock
        Assert.AreEqual("held", await other.StandardOutput.ReadLineAsync());

        Task<HuggingFaceSnapshot> download = Task.Run(() => test.DownloadAsync());
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        while (!test.Hub.Log.Contains("HEAD model.safetensors"))
            await Task.Delay(20, patience.Token);
        await Task.Delay(400);
        Assert.IsFalse(download.IsCompleted);
        Assert.DoesNotContain("GET model.safetensors", test.Hub.Log);

        other.StandardInput.Close();
        await download;
        Assert.Contains("GET model.safetensors", test.Hub.Log);
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    public void A_lock_that_is_held_keeps_another_program_out()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("etag.lock");
        using (FileLock.TryTake(path))
            Assert.AreEqual(1, TryLock());
        Assert.AreEqual(0, TryLock());

        int TryLock()
        {
            using var other = System.Diagnostics.Process.Start("flock", ["--exclusive", "--nonblock", path, "true"]);
            other.WaitForExit();
            return other.ExitCode;
        }
    }

    [TestMethod]
    public async Task A_lock_that_may_not_be_opened_is_named()
    {
        using var test = new HubTest();
        string path = Path.Combine(test.Cache, ".locks", "models--test--tiny", $"{test.WeightsEtag}.lock");
        Directory.CreateDirectory(path); // access is denied to everybody, also to an administrator
        Exception error = await Assert.ThrowsExactlyAsync<IOException>(() => test.DownloadAsync());
        Assert.StartsWith($"'{path}' cannot be written: ", error.Message);
        Assert.EndsWith($"The cache of models is '{test.Cache}'; the variable HF_HOME moves it.", error.Message);
    }

    [TestMethod]
    public async Task A_cancelled_download_goes_on_where_it_stopped()
    {
        using var test = new HubTest();
        using var cancellation = new CancellationTokenSource();
        const int Sent = 200_000;
        test.Hub.Interference = async (request, context) =>
        {
            if (!request.IsStorage)
                return false;
            context.Response.ContentLength = test.Weights.Length;
            await context.Response.Body.WriteAsync(test.Weights.AsMemory(0, Sent));
            await context.Response.Body.FlushAsync();
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
            return true;
        };
        var stop = new Stopper(cancellation, Sent);
        await Assert.ThrowsAsync<OperationCanceledException>(() => new HuggingFaceHub(test.Options).DownloadAsync(HubTest.Id, progress: stop, cancellationToken: cancellation.Token));
        Assert.AreEqual(Sent, new FileInfo(test.InCache("blobs", test.WeightsEtag + ".incomplete")).Length);
        Assert.IsFalse(File.Exists(test.InCache("refs", "main")));

        test.Hub.Interference = null;
        test.Hub.Forget();
        HuggingFaceSnapshot snapshot = await test.DownloadAsync();
        Assert.Contains($"GET {test.WeightsEtag} from {Sent} (storage)", test.Hub.Log);
        CollectionAssert.AreEqual(test.Weights, File.ReadAllBytes(Path.Combine(snapshot.Folder, "model.safetensors")));
        Assert.DoesNotContain(".incomplete", string.Join('\n', test.Tree));
    }

    [TestMethod]
    public async Task A_cache_that_Python_filled_is_used_offline()
    {
        using var test = new HubTest();
        string commit = new('a', 40);
        string folder = PythonCache.Write(test.Cache, HubTest.Id, commit, test.Files);
        string[] before = test.Tree;
        HuggingFaceSnapshot snapshot = await test.DownloadAsync(test.Options with { Offline = true });
        Assert.AreEqual((folder, commit), (snapshot.Folder, snapshot.Commit));
        Assert.IsEmpty(test.Hub.Log);
        CollectionAssert.AreEqual(before, test.Tree);
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(snapshot.Folder);
    }

    [TestMethod]
    public async Task Of_a_cache_that_Python_filled_nothing_is_fetched_again()
    {
        using var test = new HubTest();
        PythonCache.Write(test.Cache, HubTest.Id, test.Commit, test.Files);
        await test.DownloadAsync();
        CollectionAssert.AreEqual((string[])["HEAD config.json", "HEAD processor_config.json"], test.Hub.Log);
    }

    [TestMethod]
    public async Task A_cache_that_cannot_be_written_to_is_read()
    {
        using var test = new HubTest();
        HuggingFaceSnapshot expected = new(HubTest.Id, test.Commit, PythonCache.Write(test.Cache, HubTest.Id, test.Commit, test.Files), [], null);
        File.WriteAllText(test.InCache(".no_exist"), "in the way");
        Assert.AreEqual(expected.Folder, (await test.DownloadAsync()).Folder);
    }

    [TestMethod]
    public async Task Without_a_network_the_cache_is_used_and_a_note_says_so()
    {
        using var test = new HubTest();
        await test.DownloadAsync();
        HuggingFaceHubOptions options = test.Options;
        test.Hub.Stop();
        HuggingFaceSnapshot snapshot = await test.DownloadAsync(options);
        Assert.StartsWith($"{new Uri(options.Endpoint).Authority} cannot be reached (Connection refused", snapshot.Note!);
        Assert.EndsWith($"'{HubTest.Id}' is used as it is in the cache, commit {test.Commit}.", snapshot.Note!);
        Assert.IsEmpty(test.Time.Pauses);
    }

    [TestMethod]
    public async Task A_hub_that_is_out_of_order_leaves_the_cache_in_use()
    {
        using var test = new HubTest();
        await test.DownloadAsync();
        test.Hub.Interference = (_, context) => Task.FromResult((context.Response.StatusCode = 503) == 503);
        Assert.Contains("answers with status 503", (await test.DownloadAsync()).Note!);
    }

    [TestMethod]
    [DataRow(200, "with no X-Repo-Commit", DisplayName = "a page of a captive portal")]
    [DataRow(302, "on to an address of the kind file", DisplayName = "a redirect to nowhere")]
    [DataRow(404, "has no config.json", DisplayName = "not found")]
    [DataRow(407, "answers with status 407", DisplayName = "a proxy")]
    [DataRow(418, "answers with status 418", DisplayName = "a teapot")]
    public async Task Answers_of_something_else_than_a_hub_leave_the_cache_in_use(int status, string reason)
    {
        using var test = new HubTest();
        await test.DownloadAsync();
        test.Hub.Interference = async (_, context) =>
        {
            context.Response.StatusCode = status;
            if (status == 302)
                context.Response.Headers.Location = "file:///login";
            else
                await context.Response.WriteAsync("<html>Log in</html>");
            return true;
        };
        HuggingFaceSnapshot snapshot = await test.DownloadAsync();
        Assert.AreEqual(test.Commit, snapshot.Commit);
        Assert.Contains(reason, snapshot.Note!);
        Assert.EndsWith($"'{HubTest.Id}' is used as it is in the cache, commit {test.Commit}.", snapshot.Note!);
    }

    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public async Task A_network_that_goes_away_after_the_first_answer_leaves_the_cache_in_use(bool isCached)
    {
        using var test = new HubTest();
        string old = test.Commit;
        if (isCached)
            await test.DownloadAsync();
        test.Repository.Commit(new Dictionary<string, byte[]>(test.Files) { ["config.json"] = [.. test.Files["config.json"], (byte)'\n'] });
        test.Hub.Interference = (request, context) => Task.FromResult(request.ToString() != "HEAD config.json" && (context.Response.StatusCode = 503) == 503);
        if (isCached)
        {
            HuggingFaceSnapshot snapshot = await test.DownloadAsync();
            Assert.AreEqual(old, snapshot.Commit);
            Assert.EndsWith($"answers with status 503; '{HubTest.Id}' is used as it is in the cache, commit {old}.", snapshot.Note!);
            Assert.AreEqual(old, File.ReadAllText(test.InCache("refs", "main")));
        }
        else
        {
            Exception error = await Assert.ThrowsExactlyAsync<IOException>(() => test.DownloadAsync());
            Assert.Contains($"answers with status 503, and 'test/tiny@main' is not in the cache '{test.Cache}'. On a machine with network run ", error.Message);
        }
    }

    [TestMethod]
    public void Loading_by_an_id_downloads()
    {
        using var test = new HubTest();
        using var environment = new HubVariables(("HF_ENDPOINT", test.Hub.Endpoint), ("HF_HUB_CACHE", test.Cache), ("HF_HUB_OFFLINE", null));
        using (SiglipVisionModel model = SiglipVisionModel.FromPretrained(HubTest.Id))
            Assert.AreEqual(32, model.Config.ImageSize);
        using (SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(HubTest.Id, new SiglipImageEmbedderOptions { Revision = test.Commit, Offline = true }))
            Assert.AreEqual(64, embedder.Config.HiddenSize);
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(HubTest.Id);
        Assert.AreEqual($"{HubTest.Id}@{test.Commit}", checkpoint.Source);
    }

    private sealed class Listener(List<HuggingFaceProgress> told) : IProgress<HuggingFaceProgress>
    {
        public void Report(HuggingFaceProgress value) => told.Add(value);
    }

    private sealed class Stopper(CancellationTokenSource cancellation, long at) : IProgress<HuggingFaceProgress>
    {
        public void Report(HuggingFaceProgress value)
        {
            if (value.Bytes >= at)
                cancellation.Cancel();
        }
    }
}
