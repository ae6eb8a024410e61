using static TorchSharp.torch;

namespace Siglip.Core.Onnx;

/// <summary>A linear map x · weightᵀ + bias.</summary>
/// <param name="To">Length of the result.</param>
/// <param name="From">Length of x.</param>
/// <param name="Weight">Gives [to, from], float32 on the CPU, in the open dispose scope.</param>
/// <param name="Bias">Gives [to], as above.</param>
internal sealed record LinearWeights(long To, long From, Func<Tensor> Weight, Func<Tensor> Bias);
