using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Linear layers with the same input as one product, whose weights are laid out for its kernels once.</summary>
/// <remarks>It takes the weights out of the layers, which cannot compute any more.</remarks>
internal abstract class PackedLinear(Linear[] layers) : IDisposable
{
    private readonly Tensor[] _parameters = [.. layers.Select(layer => layer.weight!)]; // what the weight is made of
    private readonly long[] _rows = [.. layers.Select(layer => layer.weight!.shape[0])]; // of each of them
    private readonly List<Tensor> _owned = [];

    /// <summary>The weight of one of the layers, as it is computed with; null if the parameter is that of another one.</summary>
    public Tensor? Unpack(Tensor parameter)
    {
        int layer = Array.FindIndex(_parameters, own => ReferenceEquals(own, parameter));
        return layer < 0 ? null : UnpackRows(_rows[..layer].Sum(), _rows[layer]);
    }

    public void Dispose() => _owned.ForEach(own => own.Dispose());

    /// <summary>The weights of all layers, whose own memory is freed.</summary>
    /// <returns>[out, in].</returns>
    protected Tensor TakeWeights()
    {
        Tensor weights = cat(_parameters);
        foreach (Tensor parameter in _parameters)
            parameter.Dispose();
        return weights;
    }

    /// <summary>The biases of all layers, which keep them.</summary>
    /// <returns>[out].</returns>
    protected Tensor CopyBiases() => cat([.. layers.Select(layer => layer.bias!)]);

    /// <summary>Keeps a tensor until this is disposed.</summary>
    protected Tensor Own(Tensor tensor)
    {
        _owned.Add(tensor.DetachFromDisposeScope());
        return tensor;
    }

    /// <summary>Some outputs' weights.</summary>
    /// <returns>[count, in].</returns>
    protected abstract Tensor UnpackRows(long first, long count);
}
