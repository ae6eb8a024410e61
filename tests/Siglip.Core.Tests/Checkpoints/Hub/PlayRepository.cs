using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;

namespace Siglip.Core.Tests;

/// <summary>A model of a <see cref="PlayHub"/>.</summary>
internal sealed class PlayRepository
{
    private static readonly string[] Stored = [".safetensors", ".bin", ".h5"]; // in LFS, as the hub does with large files

    /// <summary>The files of each commit, by name.</summary>
    public ConcurrentDictionary<string, Dictionary<string, byte[]>> Commits { get; } = [];

    /// <summary>The commit of each branch and tag.</summary>
    public ConcurrentDictionary<string, string> References { get; } = [];

    /// <summary>Where the model is now; null if it was not renamed.</summary>
    public string? RenamedTo { get; set; }

    public bool IsGated { get; set; }

    /// <summary>Adds a commit, whose number depends on the files only, to a branch.</summary>
    public string Commit(Dictionary<string, byte[]> files, string branch = "main")
    {
        string commit = Sha1(Encoding.UTF8.GetBytes(string.Concat(files.OrderBy(file => file.Key, StringComparer.Ordinal).Select(file => file.Key + EtagOf(file.Key, file.Value)))));
        Commits[commit] = files;
        References[branch] = commit;
        return commit;
    }

    /// <summary>The files of a checkpoint's folder, without the expected results that lie in it.</summary>
    public static Dictionary<string, byte[]> FilesOf(string folder) => Directory.GetFiles(folder)
        .Where(path => !Path.GetFileName(path).StartsWith("expected", StringComparison.Ordinal)).ToDictionary(path => Path.GetFileName(path), File.ReadAllBytes);

    public static bool IsStored(string name) => Stored.Contains(Path.GetExtension(name));

    /// <summary>By the hub's rules: SHA-256 of what is in LFS, git's SHA-1 of the rest.</summary>
    public static string EtagOf(string name, byte[] contents) => IsStored(name) ? Convert.ToHexStringLower(SHA256.HashData(contents)) : GitSha1(contents);

    public static string GitSha1(byte[] contents) => Sha1([.. Encoding.ASCII.GetBytes($"blob {contents.Length}\0"), .. contents]);

#pragma warning disable CA5350 // git's own
    private static string Sha1(byte[] contents) => Convert.ToHexStringLower(SHA1.HashData(contents));
#pragma warning restore CA5350
}
