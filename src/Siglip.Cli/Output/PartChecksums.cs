using System.Security.Cryptography;
using System.Text.Json;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary>The file beside a part that is done: a line for each of its files, as sha256sum writes and checks them, under one that says what the part is of.</summary>
internal static class PartChecksums
{
    /// <summary>e.npy.sha256 beside e.npy.</summary>
    public static string PathBeside(string output) => output + ".sha256";

    /// <summary>Names what a part is of.</summary>
    /// <param name="shard">Which part.</param>
    /// <param name="origin">What it is made with.</param>
    /// <param name="images">What it is made from: these files, with the lengths and times of last change that they have now.</param>
    public static string Identify(Shard shard, IReadOnlyDictionary<string, string> origin, IReadOnlyList<string> images)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(JsonSerializer.SerializeToUtf8Bytes(origin.Where(pair => pair.Key != EmbeddingOrigin.VersionKey).OrderBy(pair => pair.Key, StringComparer.Ordinal)));
        hash.AppendData(JsonSerializer.SerializeToUtf8Bytes(images.Select(Describe)));
        return $"# part {shard.Part} of {shard.Parts}, of {Convert.ToHexStringLower(hash.GetHashAndReset())}";
    }

    /// <summary>Whether a part is done: all of its files are there, and as they were written.</summary>
    /// <exception cref="InvalidDataException">There is another part under this name.</exception>
    public static bool IsDone(string output, string identity)
    {
        string path = PathBeside(output);
        if (!File.Exists(path) || File.ReadAllLines(path) is not [var first, .. { Length: > 0 } files])
            return false;
        if (first != identity)
            throw new InvalidDataException($"'{output}' is a part that was made of other images, or with another model or other options; name another output, or delete it and "
                + $"{Path.GetFileName(path)}.");
        return files.All(line => line.Split("  ", 2) is [var sha256, var name]
            && Path.Combine(Path.GetDirectoryName(path) ?? "", name) is var file && File.Exists(file) && Sha256(file) == sha256);
    }

    /// <summary>Says that a part is done.</summary>
    /// <param name="identity">See <see cref="Identify"/>.</param>
    /// <param name="output">The part.</param>
    /// <param name="files">All of its files, in one folder.</param>
    public static void Write(string identity, string output, IEnumerable<string> files)
    {
        using var staged = new StagedFiles();
        staged.AddText(PathBeside(output), string.Join('\n', files.Select(file => $"{Sha256(file)}  {Path.GetFileName(file)}").Prepend(identity)));
        staged.Commit();
    }

    private static object[] Describe(string image) =>
        new FileInfo(image) is { Exists: true } file ? [image, file.Length, file.LastWriteTimeUtc.Ticks] : [image];

    private static string Sha256(string file)
    {
        using FileStream stream = File.OpenRead(file);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }
}
