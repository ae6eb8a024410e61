using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Linear layers with the same input as one product of integers: weights of 8 bits with a scale for each output, inputs of 8 bits with a scale and a smallest
/// value for each row.</summary>
internal sealed unsafe class Int8Linear : PackedLinear
{
    private const float MaxWeight = 127;

    private readonly Tensor _weight; // [out, in] int8, in oneDNN's layout
    private readonly Tensor _scales; // [out] float32
    private readonly Tensor _zeros; // [out] int32
    private readonly Tensor _sums; // [out] float32: of each output's weights
    private readonly Tensor _bias; // [out] float32

    /// <inheritdoc cref="PackedLinear"/>
    public Int8Linear(params Linear[] layers) : base(layers)
    {
        using DisposeScope scope = NewDisposeScope();
        _bias = Own(CopyBiases());
        Tensor weights = TakeWeights(); // [out, in]
        _scales = Own(ScalesOf(weights));
        Tensor quantized = (weights / _scales.unsqueeze(1)).round().clamp(-MaxWeight, MaxWeight).to(int8); // [out, in]
        _zeros = Own(zeros(quantized.shape[0], int32));
        _sums = Own(quantized.sum(1).to(float32) * _scales);
        _weight = Own(TorchOperators.Call("pack_int8", quantized));
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

    protected override Tensor UnpackRows(long first, long count)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor all = TorchOperators.Call("unpack", _weight).t(); // [out, in]
        return (all.narrow(0, first, count).to(float32) * _scales.narrow(0, first, count).unsqueeze(1)).MoveToOuterDisposeScope();
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
