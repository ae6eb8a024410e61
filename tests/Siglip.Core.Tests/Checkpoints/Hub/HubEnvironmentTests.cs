namespace Siglip.Core.Tests;

/// <summary>The variables, by the rules of huggingface_hub 1.x (constants.py, utils/_auth.py).</summary>
[TestClass]
[OSCondition(OperatingSystems.Linux | OperatingSystems.OSX)]
public sealed class HubEnvironmentTests
{
    [TestMethod]
    [DataRow("/home/u/.cache/huggingface/hub")]
    [DataRow("/x/huggingface/hub", "XDG_CACHE_HOME", "/x")]
    [DataRow("/h/hub", "HF_HOME", "/h", "XDG_CACHE_HOME", "/x")]
    [DataRow("/home/u/h/hub", "HF_HOME", "~/h")]
    [DataRow("/data/h/hub", "HF_HOME", "$BASE/h", "BASE", "/data")]
    [DataRow("/data/h/hub", "HF_HOME", "${BASE}/h", "BASE", "/data")]
    [DataRow("/$NOBODY/hub", "HF_HOME", "/$NOBODY")]
    [DataRow("/old", "HUGGINGFACE_HUB_CACHE", "/old", "HF_HOME", "/h")]
    [DataRow("/new", "HF_HUB_CACHE", "/new", "HUGGINGFACE_HUB_CACHE", "/old", "HF_HOME", "/h")]
    public void The_cache_folder(string expected, params string[] variables) => Assert.AreEqual(expected, Of(variables).CacheFolder);

    [TestMethod]
    [DataRow(false)]
    [DataRow(true, "HF_HUB_OFFLINE", "1")]
    [DataRow(true, "HF_HUB_OFFLINE", "yes")]
    [DataRow(true, "TRANSFORMERS_OFFLINE", "True")]
    [DataRow(false, "HF_HUB_OFFLINE", "0", "TRANSFORMERS_OFFLINE", "1")]
    [DataRow(false, "HF_HUB_OFFLINE", "2")]
    public void Offline_mode(bool expected, params string[] variables) => Assert.AreEqual(expected, Of(variables).Offline);

    [TestMethod]
    [DataRow(null, "HF_TOKEN", " ")]
    [DataRow("hf_a", "HF_TOKEN", "hf_a", "HUGGING_FACE_HUB_TOKEN", "hf_b")]
    [DataRow("hf_b", "HUGGING_FACE_HUB_TOKEN", " hf_b\r\n")]
    [DataRow(null, "HF_TOKEN", "hf_a", "HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]
    public void The_token(string? expected, params string[] variables) => Assert.AreEqual(expected, Of(["HF_HOME", "/nobody", .. variables]).ReadToken());

    [TestMethod]
    public void The_token_of_a_file()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("token"), "hf_stored\n");
        File.WriteAllText(folder.File("other"), "hf_other\n");
        Assert.AreEqual("hf_stored", Of("HF_HOME", folder.Path).ReadToken());
        Assert.AreEqual("hf_other", Of("HF_HOME", folder.Path, "HF_TOKEN_PATH", folder.File("other")).ReadToken());
        Assert.AreEqual("hf_set", Of("HF_HOME", folder.Path, "HF_TOKEN", "hf_set").ReadToken());
    }

    [TestMethod]
    public void The_rest()
    {
        HubEnvironment none = Of(), all = Of("HF_ENDPOINT", "https://mirror.example", "HF_HUB_DISABLE_SYMLINKS", "1", "HF_HUB_ETAG_TIMEOUT", "3", "HF_HUB_DOWNLOAD_TIMEOUT", "60");
        Assert.AreEqual(("https://huggingface.co", true, TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(10)),
            (none.Endpoint, none.UseSymbolicLinks, none.MetadataTimeout, none.DownloadTimeout));
        Assert.AreEqual(("https://mirror.example", false, TimeSpan.FromSeconds(3), TimeSpan.FromSeconds(60)),
            (all.Endpoint, all.UseSymbolicLinks, all.MetadataTimeout, all.DownloadTimeout));
        Assert.Contains("HF_HUB_ETAG_TIMEOUT is 'soon', expected a whole number of seconds",
            Assert.ThrowsExactly<ArgumentException>(() => Of("HF_HUB_ETAG_TIMEOUT", "soon").MetadataTimeout).Message);
    }

    private static HubEnvironment Of(params string[] variables)
    {
        Dictionary<string, string> values = variables.Chunk(2).ToDictionary(pair => pair[0], pair => pair[1]);
        return new HubEnvironment(name => values.GetValueOrDefault(name), "/home/u");
    }
}
