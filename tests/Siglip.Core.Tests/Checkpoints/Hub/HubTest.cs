namespace Siglip.Core.Tests;

/// <summary>A hub, and an empty cache.</summary>
internal sealed class HubTest : IDisposable
{
    public const string Id = "test/tiny";

    private readonly TemporaryFolder _folder = new();

    public HubTest(string model = "vision_only") => Repository = Hub.Add(Id, ReferenceModels.Folder(model));

    public PlayHub Hub { get; } = new();

    public PlayRepository Repository { get; }

    public HastyTime Time { get; } = new();

    public string Cache => _folder.File("hub");

    public string Commit => Repository.References["main"];

    public Dictionary<string, byte[]> Files => Repository.Commits[Commit];

    public byte[] Weights => Files["model.safetensors"];

    public string WeightsEtag => PlayRepository.EtagOf("model.safetensors", Weights);

    public HuggingFaceHubOptions Options => new()
    {
        Endpoint = Hub.Endpoint,
        CacheFolder = Cache,
        Token = null,
        Offline = false,
        TimeProvider = Time,
    };

    public Task<HuggingFaceSnapshot> DownloadAsync(HuggingFaceHubOptions? options = null, string model = Id, string? revision = null) =>
        new HuggingFaceHub(options ?? Options).DownloadAsync(model, revision);

    public string[] Tree => PythonCache.Tree(Cache);

    public string InCache(params string[] parts) => Path.Combine([Cache, "models--test--tiny", .. parts]);

    public void Dispose()
    {
        Hub.Dispose();
        _folder.Dispose();
    }
}
