using System.Text.Json;

namespace Siglip.Core;

/// <summary>A <c>model.safetensors.index.json</c>: which file holds which tensor.</summary>
/// <param name="ShardOf">The plain name of each tensor's file.</param>
/// <remarks>What else it says, such as a <c>total_size</c>, is ignored, as in transformers: the files themselves say what they hold.</remarks>
internal sealed record ShardIndex(IReadOnlyDictionary<string, string> ShardOf)
{
    private const int MaxShards = 1_000;

    /// <summary>The files, each once, by name.</summary>
    public string[] Shards { get; } = [.. ShardOf.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];

    public static ShardIndex Read(string path)
    {
        using JsonDocument document = JsonFields.Parse(CheckpointText.Read(path), $"'{path}'");
        var root = new JsonFields(document.RootElement, $"'{path}'");
        if (root.Find("weight_map") is not { ValueKind: JsonValueKind.Object } map)
            throw new InvalidDataException($"'{path}' has no weight_map, expected an object with the file of each tensor.");

        var shardOf = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (JsonProperty property in map.EnumerateObject())
        {
            if (property.Value.ValueKind != JsonValueKind.String || property.Value.GetString() is not { } shard || !IsPlainName(shard))
                throw new InvalidDataException($"'{path}' has {property.Value.GetRawText()} for tensor '{property.Name}', "
                    + "expected the plain name of a "
                    + ".safetensors file in the same folder.");
            if (!shardOf.TryAdd(property.Name, shard))
                throw new InvalidDataException($"'{path}' names tensor '{property.Name}' twice.");
        }

        var index = new ShardIndex(shardOf);
        return index.Shards.Length <= MaxShards
            ? index
            : throw new InvalidDataException($"'{path}' names {index.Shards.Length} files, at most {MaxShards} are allowed.");
    }

    private static bool IsPlainName(string name) => name.EndsWith(".safetensors", StringComparison.Ordinal) && PlainName.IsOne(name);
}
