namespace Siglip.Core;

/// <summary>Compares the tensors of a checkpoint with those that its configuration asks for; all differences become one error.</summary>
internal sealed class TensorFaults(SiglipVisionConfigBase config, IReadOnlyDictionary<string, SafetensorsEntry> stored)
{
    /// <summary>The most names in one list.</summary>
    public const int MaxListed = 10;

    private readonly List<string> _missing = [];
    private readonly List<string> _unexpected = [];
    private readonly List<MisfitTensor> _misfits = [];

    /// <summary>Tensors that the model needs and the file lacks.</summary>
    public IReadOnlyList<string> Missing => _missing;

    /// <summary>Tensors that belong to no part of a SigLIP model.</summary>
    public IReadOnlyList<string> Unexpected => _unexpected;

    /// <summary>Tensors of a wrong shape or type.</summary>
    public IReadOnlyList<MisfitTensor> Misfits => _misfits;

    /// <summary>One sentence that explains all differences at once, where there is one.</summary>
    public string? Cause { get; set; }

    public bool Any => _missing.Count + _unexpected.Count + _misfits.Count > 0;

    public static string List(IReadOnlyCollection<string> names) =>
        string.Join(", ", names.Take(MaxListed).Select(name => $"'{name}'")) + (names.Count > MaxListed ? $" and {names.Count - MaxListed} more" : "");

    public void Expect(string name, long[] shape)
    {
        if (!stored.TryGetValue(name, out SafetensorsEntry? entry))
            _missing.Add(name);
        else if (!entry.Shape.SequenceEqual(shape) || !MisfitTensor.IsReadable(entry.Dtype))
            _misfits.Add(new MisfitTensor(name, entry, shape, Reason(name)));
    }

    public void AddUnexpected(string name) => _unexpected.Add(name);

    /// <exception cref="InvalidDataException">There was a difference.</exception>
    public void ThrowIfAny(string source)
    {
        if (!Any)
            return;
        if (Cause is not null)
            throw new InvalidDataException($"{source}: {Cause}");

        List<string> sentences = [];
        if (_missing.Count > 0)
            sentences.Add($"Missing ({_missing.Count}): {List(_missing)}.");
        if (_unexpected.Count > 0)
            sentences.Add($"Unexpected ({_unexpected.Count}): {List(_unexpected)}.");
        sentences.AddRange(_misfits.Take(MaxListed).Select(misfit => $"Tensor {misfit}."));
        if (_misfits.Count > MaxListed)
            sentences.Add($"{_misfits.Count - MaxListed} more tensors have a wrong shape or dtype.");
        bool onlyDtypes = _missing.Count + _unexpected.Count == 0 && _misfits.All(misfit => misfit.HasExpectedShape);
        throw new InvalidDataException($"{source}: the weights do not fit the configuration. {string.Join(" ", sentences)} "
            + (onlyDtypes ? "Use the checkpoint with the original weights, or convert these tensors." : "Use the config.json that belongs to this checkpoint."));
    }

    private string Reason(string name) =>
        name.EndsWith("position_embedding.weight", StringComparison.Ordinal) ? (config is SiglipVisionConfig { ImageSize: var size } ? $" for image size {size}" : $" for num_patches {config.NumPositions}")
        : name.EndsWith("patch_embedding.weight", StringComparison.Ordinal) ? $" for patch size {config.PatchSize}"
        : "";
}
