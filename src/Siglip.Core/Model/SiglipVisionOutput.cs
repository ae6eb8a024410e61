using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The result of a forward pass. Whoever receives it owns its tensors; <see cref="Dispose"/> frees them.</summary>
/// <param name="LastHiddenState">[batch, patches, hidden], after the final layer norm; patches in row-major order.</param>
/// <param name="PoolerOutput">[batch, hidden], the pooling head's output; null if the model has no head.</param>
/// <param name="HiddenStates">Layers + 1 tensors [batch, patches, hidden], before the final layer norm: first the embeddings, then each
/// layer's output; null unless asked for.</param>
/// <param name="Attentions">One tensor [batch, heads, patches, patches] per layer, after the softmax; null unless asked for.</param>
/// <remarks>Source: transformers, BaseModelOutputWithPooling.</remarks>
public sealed record SiglipVisionOutput(
    Tensor LastHiddenState, Tensor? PoolerOutput, IReadOnlyList<Tensor>? HiddenStates, IReadOnlyList<Tensor>? Attentions) : IDisposable
{
    /// <summary>Frees all tensors.</summary>
    public void Dispose()
    {
        foreach (Tensor tensor in Tensors)
            tensor.Dispose();
    }

    internal IEnumerable<Tensor> Tensors =>
        [LastHiddenState, .. PoolerOutput is null ? [] : (Tensor[])[PoolerOutput], .. HiddenStates ?? [], .. Attentions ?? []];

    internal SiglipVisionOutput MoveToOuterDisposeScope()
    {
        foreach (Tensor tensor in Tensors)
            tensor.MoveToOuterDisposeScope();
        return this;
    }
}
