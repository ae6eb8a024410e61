using TorchSharp;
using static Siglip.Core.Onnx.TensorProto.Types;
using static TorchSharp.torch;

namespace Siglip.Core.Onnx;

/// <summary>Adds linear maps to a graph.</summary>
/// <param name="graph">Receives nodes and weights.</param>
/// <param name="precision">Of the weights of <see cref="Linear"/>.</param>
internal sealed class LinearGraph(OnnxGraph graph, SiglipPrecision precision)
{
    private const int MaxInt8 = 127; // -128 is left out, so that zero is in the middle

    private readonly Dictionary<string, string[]> _quantized = []; // an input serves several maps

    /// <summary>Adds a map of activations, in the chosen precision.</summary>
    /// <param name="x">[…, from].</param>
    /// <param name="name">Of the map.</param>
    /// <param name="weights">What it consists of.</param>
    /// <returns>[…, to].</returns>
    public string Linear(string x, string name, LinearWeights weights) =>
        precision == SiglipPrecision.Int8 ? Int8(x, name, weights) : Float32(x, name, weights);

    /// <summary>Adds a map in float32, whatever the precision of the others.</summary>
    /// <param name="x">[…, from].</param>
    /// <param name="name">Of the map.</param>
    /// <param name="weights">What it consists of.</param>
    /// <param name="output">Name of the result; null for the node's.</param>
    /// <returns>[…, to].</returns>
    /// <remarks>A product and a sum, not Gemm: ONNX Runtime packs the weights of either, and joins the sum with the GELU that follows.</remarks>
    public string Float32(string x, string name, LinearWeights weights, string? output = null)
    {
        string weight = graph.Add(OnnxInitializer.OfTensor(
            name + ".weight", DataType.Float, [weights.From, weights.To], () => weights.Weight().t())); // as MatMul takes it
        return graph.Node("Add", output ?? name + "/Add", [graph.Node("MatMul", name + "/MatMul", [x, weight]), Bias(name, weights)]);
    }

    // The nodes of ONNX Runtime's quantize_dynamic, which it joins into one or two. Weights are w ≈ scale · integer, with a scale for each output.
    private string Int8(string x, string name, LinearWeights weights)
    {
        if (!_quantized.TryGetValue(x, out string[]? quantized))
        {
            _quantized[x] = quantized = [x + "/quantized", x + "/scale", x + "/zero_point"];
            graph.Node("DynamicQuantizeLinear", x + "/DynamicQuantizeLinear", [x], quantized);
        }

        string weight = graph.Add(OnnxInitializer.OfTensor(name + ".weight_quantized", DataType.Int8, [weights.From, weights.To], () => Quantize(weights.Weight()).t()));
        string scale = graph.Add(OnnxInitializer.OfTensor(name + ".weight_scale", DataType.Float, [weights.To], () => Scale(weights.Weight())));
        string sums = graph.Node("MatMulInteger", name + "/MatMulInteger", [quantized[0], weight, quantized[2]]);
        sums = graph.Node("Cast", name + "/Cast", [sums], OnnxGraph.Int("to", (long)DataType.Float));
        scale = graph.Node("Mul", name + "/Mul_scales", [quantized[1], scale]);
        string product = graph.Node("Mul", name + "/Mul", [sums, scale]);
        return graph.Node("Add", name + "/Add", [product, Bias(name, weights)]);
    }

    private string Bias(string name, LinearWeights weights) => graph.Add(OnnxInitializer.OfTensor(name + ".bias", DataType.Float, [weights.To], weights.Bias));

    // [to, from] -> [to]
    private static Tensor Scale(Tensor weight)
    {
        Tensor largest = weight.abs().amax([1L]);
        return largest.where(largest > 0, ones_like(largest)) / MaxInt8;
    }

    // [to, from], int8
    private static Tensor Quantize(Tensor weight) => (weight / Scale(weight).unsqueeze(1)).round().clamp(-MaxInt8, MaxInt8).to(int8);
}
