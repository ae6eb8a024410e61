using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The stack of layers.</summary>
/// <remarks>Source: transformers, modeling_siglip.py, class SiglipEncoder.</remarks>
public sealed class SiglipEncoder : nn.Module<Tensor, Tensor>
{
    private readonly ModuleList<SiglipEncoderLayer> layers;

    /// <summary>Creates the module with new random weights.</summary>
    /// <exception cref="ArgumentException">The sizes do not fit together.</exception>
    public SiglipEncoder(SiglipVisionConfig config) : base(ModuleConfig.Name(nameof(SiglipEncoder)))
    {
        ModuleConfig.Check(config);
        layers = nn.ModuleList([.. Enumerable.Range(0, config.NumHiddenLayers).Select(_ => new SiglipEncoderLayer(config))]);
        RegisterComponents();
    }

    /// <summary>Computes all layers.</summary>
    /// <param name="hiddenStates">[batch, patches, hidden].</param>
    /// <returns>[batch, patches, hidden].</returns>
    public override Tensor forward(Tensor hiddenStates)
    {
        ArgumentNullException.ThrowIfNull(hiddenStates);
        using DisposeScope scope = NewDisposeScope();
        Tensor current = hiddenStates.alias();
        foreach (SiglipEncoderLayer layer in layers)
        {
            using Tensor previous = current; // freed as soon as the next layer has read it, which bounds the memory of inference
            current = layer.call(previous);
        }

        return current.MoveToOuterDisposeScope();
    }

    /// <summary>Computes all layers and keeps what lies between them.</summary>
    /// <param name="hiddenStates">[batch, patches, hidden].</param>
    /// <param name="keepHiddenStates">Receives the input and each layer's output; the last one is the result. Null: not kept.</param>
    /// <param name="keepAttentions">Receives each layer's attention weights. Null: not kept, and the fused kernel is used.</param>
    /// <returns>[batch, patches, hidden].</returns>
    /// <remarks>All tensors belong to the dispose scope that is open.</remarks>
    internal Tensor Forward(Tensor hiddenStates, List<Tensor>? keepHiddenStates, List<Tensor>? keepAttentions)
    {
        keepHiddenStates?.Add(hiddenStates);
        foreach (SiglipEncoderLayer layer in layers)
        {
            if (keepAttentions is null)
            {
                hiddenStates = layer.call(hiddenStates);
            }
            else
            {
                (hiddenStates, Tensor weights) = layer.ForwardWithWeights(hiddenStates);
                keepAttentions.Add(weights);
            }

            keepHiddenStates?.Add(hiddenStates);
        }

        return hiddenStates;
    }
}
