namespace Siglip.Core.Tests;

/// <summary>The cache as Python's huggingface_hub lays it out: see "Understand caching" in its documentation.</summary>
internal static class PythonCache
{
    /// <summary>Puts a model there, as hf_hub_download does for one file after the other.</summary>
    /// <returns>The folder of the snapshot.</returns>
    public static string Write(string cache, string id, string commit, Dictionary<string, byte[]> files, string branch = "main")
    {
        string folder = Path.Combine(cache, $"models--{id.Replace("/", "--", StringComparison.Ordinal)}");
        string snapshot = Directory.CreateDirectory(Path.Combine(folder, "snapshots", commit)).FullName;
        string reference = Path.Combine([folder, "refs", .. branch.Split('/')]);
        Directory.CreateDirectory(Path.Combine(folder, "blobs"));
        Directory.CreateDirectory(Path.GetDirectoryName(reference)!);
        File.WriteAllText(reference, commit);
        foreach ((string name, byte[] contents) in files)
        {
            string etag = PlayRepository.EtagOf(name, contents);
            File.WriteAllBytes(Path.Combine(folder, "blobs", etag), contents);
            File.CreateSymbolicLink(Path.Combine(snapshot, name), $"../../blobs/{etag}");
        }

        return snapshot;
    }

    /// <summary>Everything in a cache, with the targets of links.</summary>
    public static string[] Tree(string cache) => [.. Directory.GetFiles(cache, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = default })
        .Select(path => Path.GetRelativePath(cache, path) + (new FileInfo(path).LinkTarget is { } target ? $" -> {target}" : "")).Order(StringComparer.Ordinal)];
}
