using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The two-layer perceptron that works on each patch by itself.</summary>
/// <remarks>Source: transformers, modeling_siglip.py, class SiglipMLP.</remarks>
public sealed class SiglipMLP : nn.Module<Tensor, Tensor>
{
    private readonly Func<Tensor, Tensor> _activation;
    private readonly Linear fc1;
    private readonly Linear fc2;

    /// <summary>Creates the module with new random weights.</summary>
    /// <exception cref="ArgumentException">The sizes do not fit together, or the activation is unknown.</exception>
    public SiglipMLP(SiglipVisionConfigBase config) : base(ModuleConfig.Name(nameof(SiglipMLP)))
    {
        ModuleConfig.Check(config);
        using DisposeScope scope = NewDisposeScope(); // for what the initialization leaves behind
        _activation = Activation.Find(config.HiddenAct);
        fc1 = Initialization.NewLinear(config.HiddenSize, config.IntermediateSize);
        fc2 = Initialization.NewLinear(config.IntermediateSize, config.HiddenSize);
        RegisterComponents();

        Initialization.XavierUniform(fc1, biasDeviation: 1e-6);
        Initialization.XavierUniform(fc2, biasDeviation: 1e-6);
    }

    internal (Linear Expand, Linear Contract) Parts => (fc1, fc2);

    /// <summary>Computes fc2(activation(fc1(x))).</summary>
    /// <param name="hiddenStates">[..., hidden].</param>
    /// <returns>[..., hidden].</returns>
    public override Tensor forward(Tensor hiddenStates)
    {
        ArgumentNullException.ThrowIfNull(hiddenStates);
        using DisposeScope scope = NewDisposeScope();
        Tensor expanded = _activation(fc1.call(hiddenStates)); // [..., intermediate]
        return fc2.call(expanded).MoveToOuterDisposeScope(); // [..., hidden]
    }
}
