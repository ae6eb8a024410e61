using System.Security.Cryptography;
using System.Text;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>What a training changes: all of a model's parameters, those of its last layers, or low-rank additions and the classifier. All others are frozen:
/// autograd computes no gradient of them, nor keeps what only those would need.</summary>
/// <remarks>From the beginning until <see cref="Show"/>, and again after <see cref="Hide"/>, the model is as the training needs it.</remarks>
internal sealed class TrainedWeights : IDisposable
{
    private readonly SiglipForImageClassification _model;
    private readonly LoraAddition[] _additions;
    private readonly Parameter[] _frozenHere; // beside those that the caller has frozen

    /// <param name="model">A model on its device.</param>
    /// <param name="options">What of it is trained.</param>
    public TrainedWeights(SiglipForImageClassification model, SiglipTrainingOptions options)
    {
        _model = model;
        int layers = model.Config.NumHiddenLayers;
        int deepest = options.Lora is not null ? 0 : options.TrainedLayers ?? int.MaxValue;
        (string Name, Parameter Parameter)[] free = [.. model.named_parameters().Where(entry => entry.parameter.requires_grad)];
        ILookup<bool, (string Name, Parameter Parameter)> isTrained = free.ToLookup(entry => WeightDepth.Of(entry.Name, layers) <= deepest);
        _frozenHere = [.. isTrained[false].Select(entry => entry.Parameter)];
        _additions = options.Lora is null ? [] : LoraAddition.AttachTo(model, options.Lora, options.TrainedLayers ?? layers, options.Seed);
        All = [.. _additions.SelectMany(addition => addition.Parameters), .. isTrained[true]];
        RequireGradients(false);
    }

    /// <summary>The parameters that are trained.</summary>
    public IReadOnlyList<(string Name, Parameter Parameter)> All { get; }

    /// <summary>SHA-256 of the model's parameters that are not trained, with their names and shapes: 64 lower-case hexadecimal digits; null if there are none.
    /// Not while the weights are shown.</summary>
    public string? ComputeFrozenSha256()
    {
        (string Name, Parameter Parameter)[] frozen = [.. _model.named_parameters().ExceptBy(All.Select(entry => entry.Name), entry => entry.name)];
        if (frozen.Length == 0)
            return null;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach ((string name, Parameter parameter) in frozen)
        {
            using DisposeScope scope = NewDisposeScope();
            hash.AppendData(Encoding.UTF8.GetBytes($"{name} [{string.Join(", ", parameter.shape)}]\n"));
            hash.AppendData(parameter.detach().cpu().contiguous().bytes);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>Gives the model plain weights, with the additions merged, and nothing frozen by this.</summary>
    public void Show()
    {
        foreach (LoraAddition addition in _additions)
            addition.Merge();
        RequireGradients(true);
    }

    /// <summary>Undoes <see cref="Show"/>, to the bit.</summary>
    public void Hide()
    {
        foreach (LoraAddition addition in _additions)
            addition.Attach();
        RequireGradients(false);
    }

    /// <summary>Frees the additions; if they are not shown, they are lost.</summary>
    public void Dispose()
    {
        foreach (LoraAddition addition in _additions)
            addition.Dispose();
        RequireGradients(true);
    }

    private void RequireGradients(bool value)
    {
        foreach (Parameter parameter in _frozenHere)
            parameter.requires_grad = value;
    }
}
