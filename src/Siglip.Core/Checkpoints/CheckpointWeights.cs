using System.Security.Cryptography;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The tensors of a checkpoint, in one file or in several (shards).</summary>
internal sealed class CheckpointWeights : IDisposable
{
    public const string FileName = "model.safetensors";
    public const string IndexName = "model.safetensors.index.json";

    private readonly IReadOnlyList<(string Name, SafetensorsFile File)> _files;
    private readonly Dictionary<string, SafetensorsFile> _fileOf = new(StringComparer.Ordinal);
    private readonly Dictionary<string, SafetensorsEntry> _tensors = new(StringComparer.Ordinal);

    private CheckpointWeights(IReadOnlyList<(string Name, SafetensorsFile File)> files)
    {
        _files = files;
        foreach ((_, SafetensorsFile file) in files)
        {
            foreach ((string name, SafetensorsEntry entry) in file.Tensors)
            {
                if (!_tensors.TryAdd(name, entry))
                    throw new InvalidDataException($"{file.Source}: tensor '{name}' is also in {_fileOf[name].Source}; each "
                        + "tensor must be in one file only.");
                _fileOf.Add(name, file);
            }
        }
    }

    public IReadOnlyDictionary<string, SafetensorsEntry> Tensors => _tensors;

    /// <summary>Names without a folder, and bytes.</summary>
    public IEnumerable<(string Name, long Length)> Files => _files.Select(file => (file.Name, file.File.Length));

    public static CheckpointWeights Open(Stream stream, string source) => new([(FileName, SafetensorsFile.Open(stream, source))]);

    public static CheckpointWeights OpenFolder(string folder)
    {
        string single = Path.Combine(folder, FileName), index = Path.Combine(folder, IndexName);
        if (File.Exists(single))
            return OpenAll(folder, [FileName]);
        if (File.Exists(index))
            return OpenShards(folder, index);

        string advice = File.Exists(Path.Combine(folder, "pytorch_model.bin"))
            ? " Its pytorch_model.bin is not read, because such a file can run code; save the model with safe_serialization=True."
            : " Put the weights there in the safetensors format.";
        throw new FileNotFoundException($"The folder has neither '{single}' nor '{IndexName}'.{advice}", single);
    }

    /// <inheritdoc cref="SafetensorsFile.ReadInto"/>
    public void ReadInto(string name, Tensor destination, IncrementalHash? hash = null) => _fileOf[name].ReadInto(name, destination, hash);

    /// <summary>SHA-256 of the files' bytes, one after the other.</summary>
    public string ComputeSha256()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach ((_, SafetensorsFile file) in _files)
        {
            foreach (ReadOnlyMemory<byte> chunk in file.Chunks(0, file.Length))
                hash.AppendData(chunk.Span);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>SHA-256 of a tensor's bytes.</summary>
    public string ComputeSha256(string tensor)
    {
        SafetensorsFile file = _fileOf[tensor];
        SafetensorsEntry entry = file.Tensors[tensor];
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (ReadOnlyMemory<byte> chunk in file.Chunks(entry.Offset, entry.Length))
            hash.AppendData(chunk.Span);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    public void Dispose()
    {
        foreach ((_, SafetensorsFile file) in _files)
            file.Dispose();
    }

    private static CheckpointWeights OpenAll(string folder, IEnumerable<string> names)
    {
        var files = new List<(string Name, SafetensorsFile File)>();
        try
        {
            foreach (string name in names)
                files.Add((name, SafetensorsFile.Open(Path.Combine(folder, name))));
            return new CheckpointWeights(files);
        }
        catch
        {
            files.ForEach(file => file.File.Dispose());
            throw;
        }
    }

    private static CheckpointWeights OpenShards(string folder, string path)
    {
        ShardIndex index = ShardIndex.Read(path);
        if (Array.Find(index.Shards, shard => !File.Exists(Path.Combine(folder, shard))) is { } missing)
            throw new FileNotFoundException($"The file '{Path.Combine(folder, missing)}' does not exist, but '{path}' names "
                + "it; fetch it again.",
                Path.Combine(folder, missing));

        CheckpointWeights weights = OpenAll(folder, index.Shards);
        if (weights.FindDisagreement(index) is not { } fault)
            return weights;

        weights.Dispose();
        throw new InvalidDataException($"'{path}' {fault}. The files do not belong together; fetch all of them again.");
    }

    // What the index says and the files deny; null if they agree.
    private string? FindDisagreement(ShardIndex index)
    {
        var nameOf = _files.ToDictionary(file => file.File, file => file.Name);
        string[] misplaced = [.. index.ShardOf.Where(pair => !_fileOf.TryGetValue(pair.Key, out SafetensorsFile? file) || nameOf[file] != pair.Value)
            .Select(pair => pair.Key)];
        if (misplaced.Length > 0)
            return $"names tensors that are not in the file it says: {TensorFaults.List(misplaced)}";
        string[] unlisted = [.. _tensors.Keys.Where(name => !index.ShardOf.ContainsKey(name))];
        return unlisted.Length > 0 ? $"does not name tensors that are in its files: {TensorFaults.List(unlisted)}" : null;
    }
}
