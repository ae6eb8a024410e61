using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>In the floating-point type of the weights, by oneDNN.</summary>
internal sealed class FloatLinear : PackedLinear
{
    private readonly Tensor _weight; // [out, in], in oneDNN's layout
    private readonly Tensor _bias; // [out]

    /// <inheritdoc cref="PackedLinear"/>
    public FloatLinear(params Linear[] layers) : base(layers)
    {
        using DisposeScope scope = NewDisposeScope();
        _bias = Own(CopyBiases());
        _weight = Own(TorchOperators.Call("pack", TakeWeights()));
    }

    /// <summary>Computes all layers, and an activation.</summary>
    /// <param name="x">[..., in].</param>
    /// <param name="activation">A name of transformers' ACT2FN, or null.</param>
    /// <returns>[..., out].</returns>
    public Tensor Call(Tensor x, string? activation = null)
    {
        switch (activation)
        {
            case null:
                return TorchOperators.Call("linear", x, _weight, _bias);
            case "gelu":
                return TorchOperators.Call("linear_gelu", x, _weight, _bias);
            case "gelu_pytorch_tanh" or "gelu_new":
                return TorchOperators.Call("linear_gelu_tanh", x, _weight, _bias);
            default:
                using (Tensor plain = TorchOperators.Call("linear", x, _weight, _bias))
                    return Activation.Find(activation)(plain);
        }
    }

    /// <summary>Computes all layers and adds what they are the residual of.</summary>
    /// <returns>[..., out].</returns>
    public Tensor CallAndAdd(Tensor x, Tensor residual) => TorchOperators.Call("linear_add", x, _weight, _bias, residual);

    protected override Tensor UnpackRows(long first, long count)
    {
        using Tensor all = TorchOperators.Call("unpack", _weight); // [out, in]
        using Tensor rows = all.narrow(0, first, count);
        return rows.clone();
    }
}
