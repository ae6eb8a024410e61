using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>One transformer layer: attention, then the perceptron, each on the normalized input and added to it.</summary>
/// <remarks>Source: transformers, modeling_siglip.py, class SiglipEncoderLayer.</remarks>
public sealed class SiglipEncoderLayer : nn.Module<Tensor, Tensor>
{
    private readonly LayerNorm layer_norm1;
    private readonly SiglipAttention self_attn;
    private readonly LayerNorm layer_norm2;
    private readonly SiglipMLP mlp;

    /// <summary>Creates the module with new random weights.</summary>
    /// <exception cref="ArgumentException">The sizes do not fit together.</exception>
    public SiglipEncoderLayer(SiglipVisionConfigBase config) : base(ModuleConfig.Name(nameof(SiglipEncoderLayer)))
    {
        ModuleConfig.Check(config);
        layer_norm1 = nn.LayerNorm(config.HiddenSize, config.LayerNormEps, dtype: Initialization.Dtype);
        self_attn = new SiglipAttention(config);
        layer_norm2 = nn.LayerNorm(config.HiddenSize, config.LayerNormEps, dtype: Initialization.Dtype);
        mlp = new SiglipMLP(config);
        RegisterComponents();
    }

    /// <summary>Computes the layer.</summary>
    /// <param name="hiddenStates">[batch, patches, hidden].</param>
    /// <returns>[batch, patches, hidden].</returns>
    public override Tensor forward(Tensor hiddenStates) => Forward(hiddenStates, attentionMask: null);

    /// <summary>Computes the layer; only valid patches are attended to.</summary>
    /// <param name="hiddenStates">[batch, patches, hidden].</param>
    /// <param name="attentionMask">Boolean [batch, 1, 1, patches], true for those that are attended to; null for all.</param>
    /// <returns>[batch, patches, hidden].</returns>
    public Tensor Forward(Tensor hiddenStates, Tensor? attentionMask)
    {
        ArgumentNullException.ThrowIfNull(hiddenStates);
        using DisposeScope scope = NewDisposeScope();
        hiddenStates = hiddenStates + self_attn.Forward(layer_norm1.call(hiddenStates), attentionMask);
        return (hiddenStates + mlp.call(layer_norm2.call(hiddenStates))).MoveToOuterDisposeScope();
    }

    internal EncoderLayerParts Parts => new(
        layer_norm1, self_attn.Parts.Query, self_attn.Parts.Key, self_attn.Parts.Value, self_attn.Parts.Output, layer_norm2, mlp.Parts.Expand, mlp.Parts.Contract);

    internal void InitializeMimetic() => self_attn.InitializeMimetic();

    /// <summary>Computes the layer, and returns its attention weights too.</summary>
    /// <param name="hiddenStates">[batch, patches, hidden].</param>
    /// <param name="attentionMask">Boolean [batch, 1, 1, patches], true for those that are attended to; null for all.</param>
    /// <returns>Output [batch, patches, hidden] and weights [batch, heads, patches, patches].</returns>
    public (Tensor Output, Tensor Weights) ForwardWithWeights(Tensor hiddenStates, Tensor? attentionMask = null)
    {
        ArgumentNullException.ThrowIfNull(hiddenStates);
        using DisposeScope scope = NewDisposeScope();
        (Tensor attended, Tensor weights) = self_attn.ForwardWithWeights(layer_norm1.call(hiddenStates), attentionMask);
        hiddenStates = hiddenStates + attended;
        Tensor output = hiddenStates + mlp.call(layer_norm2.call(hiddenStates));
        return (output.MoveToOuterDisposeScope(), weights.MoveToOuterDisposeScope());
    }
}
