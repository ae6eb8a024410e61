using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Siglip.Core.Tests;

namespace Siglip.Cli.Tests;

/// <summary>Models of a Hugging Face hub, by their ids.</summary>
[TestClass]
public sealed class DownloadTests
{
    private const string Id = "test/tiny";

    [TestMethod]
    public void Download_says_where_the_files_are()
    {
        using var folder = new TestFolder();
        using var hub = new PlayHub();
        string commit = hub.Add(Id, TestFolder.VisionOnly).References["main"];
        string snapshot = Path.Combine(folder.Path, "hub", "models--test--tiny", "snapshots", commit);

        string output = Run(hub, folder, "download", Id).Succeeded().Output;
        Assert.StartsWith($"test/tiny, commit {commit}, is in\n{snapshot}\n", output);
        Assert.MatchesRegex("config.json +416 bytes\npreprocessor_config.json +366 bytes\nmodel.safetensors +596,376 bytes\n$", output);

        JsonNode json = JsonNode.Parse(Run(hub, folder, "download", Id, "--revision", commit, "--offline", "--json").Succeeded().Output)!;
        Assert.AreEqual($"[\"{Id}\",\"{commit}\",\"{snapshot}\"]", new JsonArray([.. ((string[])["model", "commit", "folder"]).Select(name => json[name]!.DeepClone())]).ToJsonString());
        Assert.AreEqual(596_376, (long)json["files"]![2]!["bytes"]!);
    }

    [TestMethod]
    public void Two_processes_that_fetch_the_same_model_fetch_each_file_once()
    {
        using var folder = new TestFolder();
        using var hub = new PlayHub();
        byte[] weights = hub.Add(Id, TestFolder.VisionOnly).Commits.Values.Single()["model.safetensors"];
        var bothAreThere = new TaskCompletionSource();
        int asked = 0;
        hub.Interference = async (request, context) =>
        {
            if (request.Method == "HEAD" && request.File == "model.safetensors" && Interlocked.Increment(ref asked) == 2)
                bothAreThere.SetResult();
            if (!request.IsStorage)
                return false;
            await bothAreThere.Task.WaitAsync(context.RequestAborted); // neither is done before the other has begun
            context.Response.ContentLength = weights.Length;
            await context.Response.Body.WriteAsync(weights.AsMemory(0, 100_000));
            await context.Response.Body.FlushAsync();
            await Task.Delay(500);
            await context.Response.Body.WriteAsync(weights.AsMemory(100_000));
            return true;
        };
        (string, string?)[] variables = [.. Variables(hub, folder), ("HF_HUB_ETAG_TIMEOUT", "240"), ("HF_HUB_DOWNLOAD_TIMEOUT", "240")]; // the second process may be slow
        using SiglipProcess first = SiglipProcess.Start(folder.Path, variables, "download", Id), second = SiglipProcess.Start(folder.Path, variables, "download", Id);
        Assert.AreEqual(first.Wait().Succeeded().Output, second.Wait().Succeeded().Output);
        Assert.AreEqual(2, asked);
        Assert.AreEqual(1, hub.Requests.Count(request => request.IsStorage));
        CollectionAssert.AllItemsAreUnique(hub.Requests.Where(request => request is { Method: "GET", IsStorage: false }).Select(request => request.File).ToArray());
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    public void A_download_that_is_cancelled_goes_on_where_it_stopped()
    {
        using var folder = new TestFolder();
        using var hub = new PlayHub();
        byte[] weights = hub.Add(Id, TestFolder.VisionOnly).Commits.Values.Single()["model.safetensors"];
        hub.Interference = async (request, context) =>
        {
            if (!request.IsStorage)
                return false;
            context.Response.ContentLength = weights.Length;
            await context.Response.Body.WriteAsync(weights.AsMemory(0, 300_000));
            await context.Response.Body.FlushAsync();
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
            return true;
        };
        string incomplete = Path.Combine(folder.Path, "hub", "models--test--tiny", "blobs", $"{PlayRepository.EtagOf("model.safetensors", weights)}.incomplete");
        using (SiglipProcess process = Start(hub, folder, "download", Id))
        {
            process.WaitUntil(() => new FileInfo(incomplete) is { Exists: true, Length: 300_000 }, "fetched what there is");
            process.Interrupt();
            SiglipResult result = process.Wait();
            Assert.AreEqual((130, "siglip: cancelled; what has come of the model is kept, and the same command goes on from there.\n"), (result.ExitCode, result.Errors));
        }

        hub.Interference = null;
        hub.Forget();
        Run(hub, folder, "download", Id).Succeeded();
        Assert.AreEqual(300_000, hub.Requests.Single(request => request.IsStorage).From);
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    public void A_full_disk_is_said_and_the_rest_comes_later()
    {
        using var folder = new TestFolder();
        using var hub = new PlayHub();
        hub.Add(Id, TestFolder.VisionOnly);
        SiglipProcess? process = null;
        hub.Interference = (request, _) =>
        {
            if (request is { Method: "HEAD", File: "model.safetensors" })
                process!.FillDisk(100_000);
            return Task.FromResult(false);
        };
        using (process = SiglipProcess.StartWithoutFileSizeSignal(folder.Path, Variables(hub, folder), "download", Id))
            process.Wait().Failed(".incomplete' cannot be written: ");
        string[] left = Directory.GetFiles(Path.Combine(folder.Path, "hub", "models--test--tiny", "blobs"), "*.incomplete");
        Assert.HasCount(1, left);
        hub.Interference = null;
        Run(hub, folder, "download", Id).Succeeded();
    }

    [TestMethod]
    public void Every_verb_that_takes_a_model_takes_an_id()
    {
        using var folder = new TestFolder();
        using var hub = new PlayHub();
        string commit = hub.Add(Id, TestFolder.Classifier).References["main"];
        string images = folder.WriteImages("images"), image = Directory.GetFiles(Path.Combine(images, "frog"))[0];

        string info = Run(hub, folder, "info", Id).Succeeded().Output;
        Assert.Contains($"{Id}@{commit}", info);
        hub.Forget();
        Run(hub, folder, "embed", image, "--model", Id, "--output", "e.npy").Succeeded();
        CollectionAssert.AreEqual((string[])["HEAD config.json"], hub.Log);
        hub.Stop();
        SiglipResult predicted = Run(hub, folder, "predict", Id, image).Succeeded();
        Assert.Contains($"'{Id}' is used as it is in the cache, commit {commit}.", predicted.Errors);
        Run(hub, folder, "predict", $"{Id}@{commit}", image).Succeeded();
        Assert.AreEqual("", Run(hub, folder, "export-onnx", Id, "--revision", commit, "--output", "m.onnx").Succeeded().Errors);
        Run(hub, folder, "train", images, "--model", Id, "--offline", "--output", "model.zip").Succeeded();
        Run(hub, folder, "finetune", images, "--model", Id, "--offline", "--epochs", "1", "--output", "tuned").Succeeded();
        CollectionAssert.IsSubsetOf((string[])["e.npy", "m.onnx", "model.zip", "tuned"], folder.Entries());
    }

    [TestMethod]
    public void Faults_are_one_line_without_the_token()
    {
        using var folder = new TestFolder();
        using var hub = new PlayHub();
        PlayRepository repository = hub.Add(Id, TestFolder.VisionOnly);
        Run(hub, folder, "download", "tiny").Failed("'tiny' is no model of the Hugging Face hub");
        Run(hub, folder, "download", "test/other").Failed("has no model 'test/other'");
        Run(hub, folder, "info", "models/bas").Failed($" There is no folder '{Path.Combine(folder.Path, "models", "bas")}' either.");
        Run(hub, folder, "download", Id, "--revision", "v9").Failed("'test/tiny' has no revision 'v9'");
        Run(hub, folder, "download", Id, "--offline").Failed("Nothing is fetched in offline mode, and 'test/tiny@main' is not in the cache");
        repository.IsGated = true;
        Run(hub, folder, "download", Id).Failed("is gated: ask for access on ");

        using SiglipProcess process = SiglipProcess.Start(folder.Path, [.. Variables(hub, folder), ("HF_TOKEN", "hf_other"), ("SIGLIP_DEBUG", "1")], "download", Id);
        SiglipResult result = process.Wait();
        Assert.AreEqual(1, result.ExitCode);
        Assert.Contains("with the account of the token that was sent, which has none yet.", result.Errors);
        Assert.DoesNotContain("hf_other", result.Errors);
    }

    [TestMethod]
    public void A_revision_is_for_models_of_the_hub()
    {
        using var folder = new TestFolder();
        string image = Directory.GetFiles(Path.Combine(folder.WriteImages("images"), "frog"))[0];
        SiglipProcess.Run(folder.Path, "embed", image, "--revision", "v1", "--output", "e.npy").Failed("--revision is for models of the Hugging Face hub, and 'nano' is none");
        SiglipProcess.Run(folder.Path, "predict", "gone.zip", image, "--revision", "v1").Failed("--revision is for checkpoints");
    }

    private static (string Name, string? Value)[] Variables(PlayHub hub, TestFolder folder) =>
        [("HF_ENDPOINT", hub.Endpoint), ("HF_HUB_CACHE", Path.Combine(folder.Path, "hub")), ("HF_HUB_OFFLINE", null)];

    private static SiglipProcess Start(PlayHub hub, TestFolder folder, params string[] arguments) => SiglipProcess.Start(folder.Path, Variables(hub, folder), arguments);

    private static SiglipResult Run(PlayHub hub, TestFolder folder, params string[] arguments)
    {
        using SiglipProcess process = Start(hub, folder, arguments);
        return process.Wait();
    }
}
