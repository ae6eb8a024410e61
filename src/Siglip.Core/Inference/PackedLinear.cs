using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Linear layers with the same input as one matrix product, whose weights are laid out for oneDNN's kernels once.</summary>
internal sealed class PackedLinear : IDisposable
{
    private readonly Tensor _weight; // [out, in], in oneDNN's layout
    private readonly Tensor _bias; // [out]
    private readonly Tensor[] _parameters; // what the weight is made of: their memory is freed
    private readonly long[] _rows; // of each of them

    /// <summary>Takes the weights out of the layers, which cannot compute any more.</summary>
    public PackedLinear(params Linear[] layers)
    {
        using DisposeScope scope = NewDisposeScope();
        _parameters = [.. layers.Select(layer => layer.weight!)];
        _rows = [.. _parameters.Select(weight => weight.shape[0])];
        _weight = TorchOperators.Call("pack", cat(_parameters)).DetachFromDisposeScope();
        _bias = cat([.. layers.Select(layer => layer.bias!)]).DetachFromDisposeScope();
        foreach (Tensor parameter in _parameters)
            parameter.Dispose();
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

    /// <summary>The weight of one of the layers, as it was; null if the parameter is that of another one.</summary>
    public Tensor? Unpack(Tensor parameter)
    {
        int layer = Array.FindIndex(_parameters, own => ReferenceEquals(own, parameter));
        if (layer < 0)
            return null;
        using DisposeScope scope = NewDisposeScope();
        Tensor all = TorchOperators.Call("unpack", _weight); // [out, in]
        return all.narrow(0, _rows[..layer].Sum(), _rows[layer]).clone().MoveToOuterDisposeScope();
    }

    public void Dispose()
    {
        _weight.Dispose();
        _bias.Dispose();
    }
}
