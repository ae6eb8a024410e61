using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace Siglip.Core.Tests;

/// <summary>What is not there, or not what it should be.</summary>
[TestClass]
public sealed class HubErrorTests
{
    [TestMethod]
    public async Task An_unknown_model_is_named_with_the_nearest_known_ones()
    {
        using var test = new HubTest();
        Exception error = await Assert.ThrowsExactlyAsync<FileNotFoundException>(() => test.DownloadAsync(model: "google/siglip-base-patch16-225"));
        Assert.Contains("has no model 'google/siglip-base-patch16-225' (the nearest known ones are google/siglip-base-patch16-224,", error.Message);
        Assert.EndsWith(", or it is private, and HF_TOKEN needs a token that may read it.", error.Message);
        error = await Assert.ThrowsExactlyAsync<FileNotFoundException>(() => test.DownloadAsync(test.Options with { Token = "hf_other" }, "test/unknown"));
        Assert.EndsWith(", or the token that was sent is not valid or may not read it.", error.Message);
    }

    [TestMethod]
    public async Task A_gated_model_says_how_to_get_access()
    {
        using var test = new HubTest();
        test.Repository.IsGated = true;
        Exception error = await Assert.ThrowsExactlyAsync<UnauthorizedAccessException>(() => test.DownloadAsync());
        Assert.AreEqual($"'test/tiny' is gated: ask for access on {test.Hub.Endpoint}/test/tiny, make a token of that account at https://huggingface.co/settings/tokens, "
            + "and set HF_TOKEN to it.", error.Message);
        error = await Assert.ThrowsExactlyAsync<UnauthorizedAccessException>(() => test.DownloadAsync(test.Options with { Token = "hf_other" }));
        Assert.Contains("with the account of the token that was sent, which has none yet.", error.Message);
    }

    [TestMethod]
    public async Task An_unknown_revision_is_named()
    {
        using var test = new HubTest();
        Exception error = await Assert.ThrowsExactlyAsync<ArgumentException>(() => test.DownloadAsync(revision: "v9"));
        Assert.Contains("'test/tiny' has no revision 'v9'", error.Message);
    }

    [TestMethod]
    public async Task Offline_a_model_that_is_not_in_the_cache_says_what_to_copy_where()
    {
        using var test = new HubTest();
        Exception error = await Assert.ThrowsExactlyAsync<FileNotFoundException>(() => test.DownloadAsync(test.Options with { Offline = true }));
        Assert.AreEqual($"Nothing is fetched in offline mode, and 'test/tiny@main' is not in the cache '{test.Cache}'. On a machine with network run "
            + $"'siglip download test/tiny@main', and copy the folder models--test--tiny of its cache into '{test.Cache}'.", error.Message);
        Assert.IsEmpty(test.Hub.Log);
    }

    [TestMethod]
    public async Task Offline_what_is_missing_of_a_model_is_named()
    {
        using var test = new HubTest("sharded");
        var files = new Dictionary<string, byte[]>(test.Files);
        files.Remove("model-00002-of-00002.safetensors");
        PythonCache.Write(test.Cache, HubTest.Id, test.Commit, files);
        Exception error = await Assert.ThrowsExactlyAsync<FileNotFoundException>(() => test.DownloadAsync(test.Options with { Offline = true }));
        Assert.Contains($"Nothing is fetched in offline mode, and of 'test/tiny@main' the cache '{test.Cache}' lacks model-00002-of-00002.safetensors.", error.Message);
    }

    [TestMethod]
    public async Task Without_a_network_a_model_that_is_not_in_the_cache_says_what_to_copy_where()
    {
        using var test = new HubTest();
        HuggingFaceHubOptions options = test.Options;
        test.Hub.Stop();
        Exception error = await Assert.ThrowsExactlyAsync<IOException>(() => test.DownloadAsync(options));
        Assert.Contains("cannot be reached (Connection refused", error.Message);
        Assert.Contains($"and copy the folder models--test--tiny of its cache into '{test.Cache}'.", error.Message);
    }

    [TestMethod]
    public async Task A_host_that_nobody_knows_is_not_asked_again()
    {
        using var test = new HubTest();
        Exception error = await Assert.ThrowsExactlyAsync<IOException>(() => test.DownloadAsync(test.Options with { Endpoint = "http://nobody.invalid" }));
        Assert.Contains("nobody.invalid cannot be reached", error.Message);
        Assert.IsEmpty(test.Time.Pauses);
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    public async Task A_host_to_which_no_way_leads_is_not_asked_again()
    {
        using var test = new HubTest();
        Exception error = await Assert.ThrowsExactlyAsync<IOException>(() => test.DownloadAsync(test.Options with { Endpoint = "http://224.0.0.1" })); // TCP has no multicast
        Assert.Contains("224.0.0.1 cannot be reached (Network is unreachable", error.Message);
        Assert.IsEmpty(test.Time.Pauses);
    }

    [TestMethod]
    public void A_name_of_a_folder_that_is_mistyped_says_that_there_is_no_such_folder()
    {
        using var test = new HubTest();
        string expected = $" There is no folder '{Path.GetFullPath("models/bas")}' either.";
        foreach ((string endpoint, string? offline, Type type) in ((string, string?, Type)[])[
            (test.Hub.Endpoint, null, typeof(FileNotFoundException)), (test.Hub.Endpoint, "1", typeof(FileNotFoundException)), ("http://nobody.invalid", null, typeof(IOException))])
        {
            using var environment = new HubVariables(("HF_ENDPOINT", endpoint), ("HF_HUB_CACHE", test.Cache), ("HF_HUB_OFFLINE", offline));
            Exception error = Assert.Throws<IOException>(() => SiglipCheckpoint.Open("models/bas"));
            Assert.AreEqual(type, error.GetType());
            Assert.EndsWith(expected, error.Message);
        }
    }

    [TestMethod]
    public async Task Pickle_files_are_not_fetched()
    {
        using var test = new HubTest();
        Dictionary<string, byte[]> files = new(test.Files) { ["pytorch_model.bin"] = [1, 2, 3] };
        files.Remove("model.safetensors");
        test.Repository.Commit(files);
        Exception error = await Assert.ThrowsExactlyAsync<FileNotFoundException>(() => test.DownloadAsync());
        Assert.Contains("only a pytorch_model.bin, which is not read, because such a file can run code", error.Message);
        Assert.DoesNotContain("GET pytorch_model.bin", test.Hub.Log);
    }

    [TestMethod]
    [DataRow("config.json")]
    [DataRow("preprocessor_config.json")]
    [DataRow("model.safetensors")]
    public async Task A_file_that_a_checkpoint_needs_is_named(string name)
    {
        using var test = new HubTest();
        Dictionary<string, byte[]> files = new(test.Files);
        files.Remove(name);
        test.Repository.Commit(files);
        Exception error = await Assert.ThrowsExactlyAsync<FileNotFoundException>(() => test.DownloadAsync());
        Assert.Contains($"'test/tiny@main' on {new Uri(test.Hub.Endpoint).Authority} has no {name}", error.Message);
    }

    [TestMethod]
    public async Task Of_a_model_of_another_kind_no_weights_are_fetched()
    {
        using var test = new HubTest();
        test.Repository.Commit(new Dictionary<string, byte[]>(test.Files) { ["config.json"] = Encoding.UTF8.GetBytes("{\"model_type\":\"bert\"}") });
        Exception error = await Assert.ThrowsExactlyAsync<InvalidDataException>(() => test.DownloadAsync());
        Assert.Contains("bert", error.Message);
        Assert.DoesNotContain("HEAD model.safetensors", test.Hub.Log);
    }

    [TestMethod]
    [DataRow("../../../outside.safetensors")]
    [DataRow("/outside.safetensors")]
    [DataRow("..\\outside.safetensors")]
    [DataRow("C:outside.safetensors")]
    [DataRow("folder/inside.safetensors")]
    [DataRow("NUL.safetensors")]
    [DataRow("aux .x.safetensors")]
    [DataRow("model.safetensors.")]
    [DataRow("model.safetensors ")]
    [DataRow("model.safetensors\u0000")]
    [DataRow("pytorch_model.bin")]
    [DataRow("")]
    public async Task Names_in_an_index_that_are_no_plain_names_are_refused(string name)
    {
        using var test = new HubTest("sharded");
        JsonNode index = JsonNode.Parse(test.Files["model.safetensors.index.json"])!;
        index["weight_map"]![index["weight_map"]!.AsObject().First().Key] = name;
        test.Repository.Commit(new Dictionary<string, byte[]>(test.Files) { ["model.safetensors.index.json"] = Encoding.UTF8.GetBytes(index.ToJsonString()) });
        Exception error = await Assert.ThrowsExactlyAsync<InvalidDataException>(() => test.DownloadAsync());
        Assert.Contains("expected the plain name of a .safetensors file in the same folder", error.Message);
        Assert.IsFalse(test.Hub.Requests.Any(request => request.IsStorage));
    }

    [TestMethod]
    [DataRow("X-Repo-Commit", "../../../../outside")]
    [DataRow("X-Repo-Commit", "ABCDEF")]
    [DataRow("X-Repo-Commit", null)]
    [DataRow("ETag", "\"../../../outside\"")]
    [DataRow("ETag", "\"C:\\outside\"")]
    [DataRow("ETag", "W/\"5d41402abc4b2a76b9719d911017c592\"")]
    [DataRow("ETag", null)]
    public async Task Headers_that_become_names_of_files_are_checked(string header, string? value)
    {
        using var test = new HubTest();
        test.Hub.Interference = (_, context) =>
        {
            context.Response.Headers["X-Repo-Commit"] = test.Commit;
            context.Response.Headers.ETag = $"\"{PlayRepository.EtagOf("config.json", test.Files["config.json"])}\"";
            if (value is null)
                context.Response.Headers.Remove(header);
            else
                context.Response.Headers[header] = value;
            context.Response.ContentLength = 10;
            return Task.FromResult(true);
        };
        Exception error = await Assert.ThrowsExactlyAsync<InvalidDataException>(() => test.DownloadAsync());
        Assert.Contains(value is null ? $"with no {header}" : $"with the {header} '{value.Replace("W/", "", StringComparison.Ordinal).Trim('"')}'", error.Message);
        Assert.IsFalse(Directory.Exists(test.Cache));
    }

    [TestMethod]
    [DataRow("ftp://example.org")]
    [DataRow("huggingface.co")]
    [DataRow("file:///tmp/hub")]
    [DataRow("https://user:password@example.org")]
    public async Task An_address_that_is_none_of_a_hub_is_refused(string endpoint)
    {
        using var test = new HubTest();
        Exception error = await Assert.ThrowsExactlyAsync<ArgumentException>(() => test.DownloadAsync(test.Options with { Endpoint = endpoint }));
        Assert.Contains("The address of the hub", error.Message);
        Assert.DoesNotContain("password", error.Message);
    }

    [TestMethod]
    [DataRow("test/tiny@../../outside")]
    [DataRow("test/tiny@..")]
    [DataRow("test/tiny@a//b")]
    [DataRow("test/tiny@NUL")]
    [DataRow("test/tiny@a\\b")]
    public async Task Revisions_that_lead_out_of_the_cache_are_refused(string model)
    {
        using var test = new HubTest();
        Exception error = await Assert.ThrowsExactlyAsync<ArgumentException>(() => test.DownloadAsync(model: model));
        Assert.Contains("cannot be a revision of 'test/tiny'", error.Message);
        Assert.IsEmpty(test.Hub.Log);
    }

    [TestMethod]
    [DataRow("tiny")]
    [DataRow("a/b/c")]
    [DataRow("../tiny")]
    [DataRow("test/..")]
    [DataRow("test/a--b")]
    [DataRow("test/tiny.git")]
    [DataRow("/test/tiny")]
    [DataRow("test/tiny\n")]
    [DataRow("test/t\u00edny")]
    public void Names_that_are_no_ids_are_no_models_of_the_hub(string name) => Assert.IsNull(HubModel.Find(name));

    [TestMethod]
    public void A_revision_is_for_models_of_the_hub()
    {
        Exception error = Assert.ThrowsExactly<ArgumentException>(() => SiglipCheckpoint.Open(ReferenceModels.Folder("vision_only"), revision: "v1"));
        Assert.Contains("The revision 'v1' is for models of the Hugging Face hub", error.Message);
        error = Assert.ThrowsExactly<ArgumentException>(() => SiglipVisionModel.FromPretrained("nano", new SiglipLoadOptions { Revision = "v1" }));
        Assert.Contains("The revision 'v1' is for models of the Hugging Face hub", error.Message);
        error = Assert.ThrowsExactly<ArgumentException>(() => SiglipCheckpoint.Open("test/tiny@v1", revision: "v2"));
        Assert.Contains("has the revision 'v1' in its name, and 'v2' is asked for beside it", error.Message);
    }
}
