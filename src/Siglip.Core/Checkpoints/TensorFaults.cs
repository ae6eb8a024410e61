using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Compares the tensors of a checkpoint with those that its configuration asks for; all differences become one error.</summary>
internal sealed class TensorFaults(SiglipVisionConfigBase config, IReadOnlyDictionary<string, SafetensorsEntry> stored)
{
    private const int MaxListed = 10;

    private readonly List<string> _missing = [];
    private readonly List<string> _unexpected = [];
    private readonly List<string> _wrong = [];

    public static string List(IReadOnlyCollection<string> names) =>
        string.Join(", ", names.Take(MaxListed).Select(name => $"'{name}'")) + (names.Count > MaxListed ? $" and {names.Count - MaxListed} more" : "");

    public void Expect(string name, long[] shape)
    {
        if (!stored.TryGetValue(name, out SafetensorsEntry? entry))
            _missing.Add(name);
        else if (!entry.Shape.SequenceEqual(shape))
            _wrong.Add($"Tensor '{name}' has shape [{string.Join(", ", entry.Shape)}], expected "
                + $"[{string.Join(", ", shape)}]{Reason(name)}.");
        else if (entry.Dtype is not (ScalarType.Float32 or ScalarType.Float16 or ScalarType.BFloat16))
            _wrong.Add($"Tensor '{name}' has dtype {SafetensorsDtype.Name(entry.Dtype)}, expected F32, F16 or BF16.");
    }

    public void Unexpected(string name) => _unexpected.Add(name);

    /// <exception cref="InvalidDataException">There was a difference.</exception>
    public void ThrowIfAny(string source)
    {
        if (_missing.Count + _unexpected.Count + _wrong.Count == 0)
            return;

        List<string> sentences = [];
        if (_missing.Count > 0)
            sentences.Add($"Missing ({_missing.Count}): {List(_missing)}.");
        if (_unexpected.Count > 0)
            sentences.Add($"Unexpected ({_unexpected.Count}): {List(_unexpected)}.");
        sentences.AddRange(_wrong.Take(MaxListed));
        if (_wrong.Count > MaxListed)
            sentences.Add($"{_wrong.Count - MaxListed} more tensors have a wrong shape or dtype.");
        throw new InvalidDataException($"{source}: the weights do not fit the configuration. {string.Join(" ", sentences)} "
            + "Use the config.json that belongs to this checkpoint.");
    }

    private string Reason(string name) =>
        name.EndsWith("position_embedding.weight", StringComparison.Ordinal) ? (config is SiglipVisionConfig { ImageSize: var size } ? $" for image size {size}" : $" for num_patches {config.NumPositions}")
        : name.EndsWith("patch_embedding.weight", StringComparison.Ordinal) ? $" for patch size {config.PatchSize}"
        : "";
}
