using System.Security.Cryptography;
using System.Text.Json;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The tensors of a checkpoint, in one file or in several (shards).</summary>
internal sealed class CheckpointWeights : IDisposable
{
    public const string FileName = "model.safetensors";
    public const string IndexName = "model.safetensors.index.json";
    private const int MaxShards = 1_000;

    private readonly List<SafetensorsFile> _files;
    private readonly Dictionary<string, SafetensorsFile> _fileOf = new(StringComparer.Ordinal);
    private readonly Dictionary<string, SafetensorsEntry> _tensors = new(StringComparer.Ordinal);

    private CheckpointWeights(List<SafetensorsFile> files)
    {
        _files = files;
        foreach (SafetensorsFile file in files)
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

    public static CheckpointWeights Open(Stream stream, string source) => new([SafetensorsFile.Open(stream, source)]);

    public static CheckpointWeights OpenFolder(string folder)
    {
        string single = Path.Combine(folder, FileName), index = Path.Combine(folder, IndexName);
        if (File.Exists(single))
            return OpenAll([single]);
        if (File.Exists(index))
            return OpenShards(folder, index);

        string advice = File.Exists(Path.Combine(folder, "pytorch_model.bin"))
            ? " Its pytorch_model.bin is not read, because such a file can run code; save the model with safe_serialization=True."
            : " Put the weights there in the safetensors format.";
        throw new FileNotFoundException($"The folder has neither '{single}' nor '{IndexName}'.{advice}", single);
    }

    /// <summary>Reads a tensor into a parameter, whatever floating-point type it is stored as.</summary>
    public void ReadInto(string name, Tensor parameter)
    {
        SafetensorsFile file = _fileOf[name];
        if (file.Tensors[name].Dtype == parameter.dtype && parameter.device_type == DeviceType.CPU && parameter.is_contiguous())
        {
            file.ReadInto(name, parameter);
            return;
        }

        using Tensor stored = file.Read(name);
        parameter.copy_(stored);
    }

    /// <summary>Copies the tensors that <paramref name="wanted"/> accepts, in the safetensors format: the file as it is where that is all of it.</summary>
    public void CopyTo(Stream destination, Func<string, bool> wanted)
    {
        if (_files is [var only] && only.Tensors.Keys.All(wanted))
        {
            foreach (ReadOnlyMemory<byte> chunk in only.Chunks(0, only.Length))
                destination.Write(chunk.Span);
            return;
        }

        SafetensorsFile.Write(destination, [.. _tensors.Keys.Where(wanted).Select(name => _fileOf[name].ToPart(name))], metadata: null);
    }

    /// <summary>SHA-256 of the files' bytes, one after the other.</summary>
    public string ComputeSha256()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (SafetensorsFile file in _files)
        {
            foreach (ReadOnlyMemory<byte> chunk in file.Chunks(0, file.Length))
                hash.AppendData(chunk.Span);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    public void Dispose() => _files.ForEach(file => file.Dispose());

    private static CheckpointWeights OpenAll(IEnumerable<string> paths)
    {
        var files = new List<SafetensorsFile>();
        try
        {
            foreach (string path in paths)
                files.Add(SafetensorsFile.Open(path));
            return new CheckpointWeights(files);
        }
        catch
        {
            files.ForEach(file => file.Dispose());
            throw;
        }
    }

    private static CheckpointWeights OpenShards(string folder, string index)
    {
        Dictionary<string, string> shardOf = ReadIndex(index);
        string[] shards = [.. shardOf.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        if (shards.Length > MaxShards)
            throw new InvalidDataException($"'{index}' names {shards.Length} files, at most {MaxShards} are allowed.");
        if (Array.Find(shards, shard => !File.Exists(Path.Combine(folder, shard))) is { } missing)
            throw new FileNotFoundException($"The file '{Path.Combine(folder, missing)}' does not exist, but '{index}' names "
                + "it; fetch it again.",
                Path.Combine(folder, missing));

        CheckpointWeights weights = OpenAll(shards.Select(shard => Path.Combine(folder, shard)));
        string[] misplaced = [.. shardOf.Where(pair => !weights._fileOf.TryGetValue(pair.Key, out SafetensorsFile? file)
            || file.Source != $"'{Path.Combine(folder, pair.Value)}'").Select(pair => pair.Key)];
        if (misplaced.Length == 0)
            return weights;

        weights.Dispose();
        throw new InvalidDataException($"'{index}' names tensors that are not in the file it says: {TensorFaults.List(misplaced)}. "
            + "The files do not belong together; fetch all of them again.");
    }

    private static Dictionary<string, string> ReadIndex(string index)
    {
        using JsonDocument document = JsonFields.Parse(CheckpointText.Read(index), $"'{index}'");
        if (new JsonFields(document.RootElement, $"'{index}'").Find("weight_map") is not { ValueKind: JsonValueKind.Object } map)
            throw new InvalidDataException($"'{index}' has no weight_map, expected an object with the file of each tensor.");

        var shardOf = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (JsonProperty property in map.EnumerateObject())
        {
            // The name comes from whoever made the file: it must not lead out of the folder.
            if (property.Value.ValueKind != JsonValueKind.String || property.Value.GetString() is not { } shard
                || shard.AsSpan().ContainsAny("/\\:\0") || !shard.EndsWith(".safetensors", StringComparison.Ordinal))
                throw new InvalidDataException($"'{index}' has {property.Value.GetRawText()} for tensor '{property.Name}', "
                    + "expected the plain name of a "
                    + ".safetensors file in the same folder.");
            if (!shardOf.TryAdd(property.Name, shard))
                throw new InvalidDataException($"'{index}' names tensor '{property.Name}' twice.");
        }

        return shardOf;
    }
}
