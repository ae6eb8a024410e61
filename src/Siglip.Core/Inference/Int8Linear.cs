using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Linear layers with the same input as one product of integers: weights of 8 bits with a scale for each output, inputs of 8 bits with a scale and a smallest
/// value for each row.</summary>
internal sealed unsafe class Int8Linear : IDisposable
{
    private const float MaxWeight = 127;

    private readonly Tensor[] _parameters; // what the weight is made of: their memory is freed
    private readonly long[] _rows; // of each of them
    private readonly Tensor _weight; // [out, in] int8, in oneDNN's layout
    private readonly Tensor _scales; // [out] float32
    private readonly Tensor _zeros; // [out] int32
    private readonly Tensor _sums; // [out] float32: of each output's weights
    private readonly Tensor _bias; // [out] float32

    /// <summary>Takes the weights out of the layers, which cannot compute any more.</summary>
    public Int8Linear(params Linear[] layers)
    {
        using DisposeScope scope = NewDisposeScope();
        _parameters = [.. layers.Select(layer => layer.weight!)];
        _rows = [.. _parameters.Select(weight => weight.shape[0])];
        Tensor weights = cat(_parameters); // [out, in]
        _scales = ScalesOf(weights).DetachFromDisposeScope();
        Tensor quantized = (weights / _scales.unsqueeze(1)).round().clamp(-MaxWeight, MaxWeight).to(int8); // [out, in]
        _zeros = zeros(quantized.shape[0], int32).DetachFromDisposeScope();
        _sums = (quantized.sum(1).to(float32) * _scales).DetachFromDisposeScope();
        _bias = cat([.. layers.Select(layer => layer.bias!)]).DetachFromDisposeScope();
        _weight = TorchOperators.Call("pack_int8", quantized).DetachFromDisposeScope();
        foreach (Tensor parameter in _parameters)
            parameter.Dispose();
    }

    /// <summary>Number of outputs.</summary>
    public int Outputs => (int)_bias.shape[0];

    /// <summary>For each output the sum of its weights, which the smallest value of a row is multiplied with.</summary>
    public float* Sums => _sums.Pointer<float>();

    /// <summary>For each output.</summary>
    public float* Bias => _bias.Pointer<float>();

    /// <summary>The product without the rows' scales and smallest values, and without the bias.</summary>
    /// <param name="x">[rows, in] uint8.</param>
    /// <returns>[rows, out] float32.</returns>
    public Tensor Call(Tensor x) => TorchOperators.Call("linear_int8", x, _weight, _scales, _zeros);

    /// <summary>The weight of one of the layers, as it is computed with; null if the parameter is that of another one.</summary>
    public Tensor? Unpack(Tensor parameter)
    {
        int layer = Array.FindIndex(_parameters, own => ReferenceEquals(own, parameter));
        if (layer < 0)
            return null;
        using DisposeScope scope = NewDisposeScope();
        Tensor all = TorchOperators.Call("unpack", _weight).t(); // [out, in]
        long begin = _rows[..layer].Sum();
        return (all.narrow(0, begin, _rows[layer]).to(float32) * _scales.narrow(0, begin, _rows[layer]).unsqueeze(1)).MoveToOuterDisposeScope();
    }

    public void Dispose()
    {
        foreach (Tensor own in (Tensor[])[_weight, _scales, _zeros, _sums, _bias])
            own.Dispose();
    }

    // Rounded up to 16 bits, so that a weight of 8 bits times its scale is exact in float32: weights that were computed from 8 bits get the same scales and bits again.
    private static Tensor ScalesOf(Tensor weights)
    {
        float[] largest = weights.abs().amax([1]).data<float>().ToArray(); // [out]
        for (int i = 0; i < largest.Length; i++)
            largest[i] = largest[i] == 0 ? 1 : BitConverter.Int32BitsToSingle((BitConverter.SingleToInt32Bits(largest[i] / MaxWeight) + 0xFF) & ~0xFF);
        return tensor(largest).clone(); // in torch's own memory
    }
}
