using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>With matrix products of 8-bit integers: weights have a scale for each output, and each row of an input is quantized when it is known. Attention, norms and
/// residuals are float32.</summary>
internal sealed class Int8Encoder(SiglipVisionConfigBase config) : PackedEncoder
{
    private static readonly Lazy<int> Levels = new(MeasureLevels);

    private readonly List<Layer> _layers = [];

    public override void Add(EncoderLayerParts parts) => _layers.Add(new Layer(parts, this, config));

    protected override Tensor ForwardImages(Tensor hiddenStates, Tensor? attentionMask)
    {
        using DisposeScope scope = NewDisposeScope();
        long batch = hiddenStates.shape[0], patches = hiddenStates.shape[1];
        var buffers = new Buffers((int)(batch * patches), config);
        Tensor residual = hiddenStates.reshape(batch * patches, -1).contiguous().clone(); // [rows, hidden]
        foreach (Layer layer in _layers)
            layer.Forward(residual, (batch, patches), attentionMask, buffers);
        return residual.view(batch, patches, -1).MoveToOuterDisposeScope();
    }

    // Processors without VNNI add the products of two pairs in 16 bits, which 255 · 127 · 2 does not fit into.
    private static int MeasureLevels()
    {
        const int Length = 64, Largest = 255, Weight = 127;
        using DisposeScope scope = NewDisposeScope();
        Tensor weight = TorchOperators.Call("pack_int8", full([Length, Length], Weight, dtype: int8));
        Tensor product = TorchOperators.Call("linear_int8", full([Length, Length], Largest, dtype: uint8), weight, ones(Length), zeros(Length, int32));
        return product.min().item<float>() == (float)Length * Largest * Weight ? Largest : Largest / 2;
    }

    /// <summary>What all layers write to in turn.</summary>
    private sealed class Buffers(int rows, SiglipVisionConfigBase config)
    {
        public QuantizedRow[] Rows { get; } = new QuantizedRow[rows];

        public Tensor Hidden { get; } = empty([rows, config.HiddenSize], uint8);

        public Tensor Intermediate { get; } = empty([rows, config.IntermediateSize], uint8);
    }

    private sealed unsafe class Layer(EncoderLayerParts parts, Int8Encoder encoder, SiglipVisionConfigBase config)
    {
        private readonly Int8Linear _project = encoder.Own(new Int8Linear(parts.Query, parts.Key, parts.Value));
        private readonly Int8Linear _output = encoder.Own(new Int8Linear(parts.Output));
        private readonly Int8Linear _expand = encoder.Own(new Int8Linear(parts.Expand));
        private readonly Int8Linear _contract = encoder.Own(new Int8Linear(parts.Contract));

        // [rows, hidden], changed in place
        public void Forward(Tensor residual, (long Batch, long Patches) shape, Tensor? attentionMask, Buffers buffers)
        {
            using DisposeScope scope = NewDisposeScope();
            Normalize(residual, parts.LayerNorm1, buffers);
            Attend(shape, attentionMask, buffers);
            Add(residual, _output.Call(buffers.Hidden), _output, buffers);
            Normalize(residual, parts.LayerNorm2, buffers);
            Expand(buffers);
            Add(residual, _contract.Call(buffers.Intermediate), _contract, buffers);
        }

        private void Normalize(Tensor residual, TorchSharp.Modules.LayerNorm norm, Buffers buffers)
        {
            int hidden = config.HiddenSize;
            float* x = residual.Pointer<float>(), weight = norm.weight!.Pointer<float>(), bias = norm.bias!.Pointer<float>();
            byte* quantized = buffers.Hidden.Pointer<byte>();
            TorchThreads.For(buffers.Rows.Length, (begin, end) =>
            {
                float* normal = stackalloc float[hidden];
                for (int row = begin; row < end; row++)
                {
                    Int8Rows.Normalize(x + ((long)row * hidden), hidden, weight, bias, (float)config.LayerNormEps, normal);
                    buffers.Rows[row] = Int8Rows.Quantize(normal, hidden, Levels.Value, quantized + ((long)row * hidden));
                }
            });
        }

        private void Attend((long Batch, long Patches) shape, Tensor? attentionMask, Buffers buffers)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor projected = _project.Call(buffers.Hidden); // [rows, 3 * hidden]
            float* values = projected.Pointer<float>(), sums = _project.Sums, bias = _project.Bias;
            int outputs = _project.Outputs;
            TorchThreads.For(buffers.Rows.Length, (begin, end) =>
            {
                for (int row = begin; row < end; row++)
                    Int8Rows.Dequantize(values + ((long)row * outputs), outputs, buffers.Rows[row], sums, bias);
            });

            Tensor attended = FusedAttention.Attend(projected, (int)shape.Batch, config.NumAttentionHeads, attentionMask); // [rows, hidden]
            Quantize(attended.contiguous(), config.HiddenSize, buffers.Hidden, buffers);
        }

        private void Expand(Buffers buffers)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor expanded = _expand.Call(buffers.Hidden); // [rows, intermediate]
            float* values = expanded.Pointer<float>(), sums = _expand.Sums, bias = _expand.Bias;
            byte* quantized = buffers.Intermediate.Pointer<byte>();
            int outputs = _expand.Outputs;
            bool fused = config.HiddenAct is "gelu_pytorch_tanh" or "gelu_new";
            TorchThreads.For(buffers.Rows.Length, (begin, end) =>
            {
                for (int row = begin; row < end; row++)
                {
                    float* value = values + ((long)row * outputs);
                    if (!fused)
                    {
                        Int8Rows.Dequantize(value, outputs, buffers.Rows[row], sums, bias);
                        continue;
                    }

                    Int8Rows.DequantizeAndGelu(value, outputs, buffers.Rows[row], sums, bias);
                    buffers.Rows[row] = Int8Rows.Quantize(value, outputs, Levels.Value, quantized + ((long)row * outputs));
                }
            });

            if (!fused)
                Quantize(Activation.Find(config.HiddenAct)(expanded), outputs, buffers.Intermediate, buffers);
        }

        private static void Quantize(Tensor values, int count, Tensor result, Buffers buffers)
        {
            float* x = values.Pointer<float>();
            byte* quantized = result.Pointer<byte>();
            TorchThreads.For(buffers.Rows.Length, (begin, end) =>
            {
                for (int row = begin; row < end; row++)
                    buffers.Rows[row] = Int8Rows.Quantize(x + ((long)row * count), count, Levels.Value, quantized + ((long)row * count));
            });
        }

        private static void Add(Tensor residual, Tensor product, Int8Linear linear, Buffers buffers)
        {
            float* values = product.Pointer<float>(), x = residual.Pointer<float>(), sums = linear.Sums, bias = linear.Bias;
            int outputs = linear.Outputs;
            TorchThreads.For(buffers.Rows.Length, (begin, end) =>
            {
                for (int row = begin; row < end; row++)
                    Int8Rows.DequantizeAndAdd(values + ((long)row * outputs), outputs, buffers.Rows[row], sums, bias, x + ((long)row * outputs));
            });
        }
    }
}
