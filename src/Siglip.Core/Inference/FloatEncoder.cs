using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>In float32 or bfloat16: query, key and value are one product, activations and residuals are added where the products are written.</summary>
internal sealed class FloatEncoder(SiglipVisionConfigBase config) : PackedEncoder
{
    private readonly List<Layer> _layers = [];

    public override void Add(EncoderLayerParts parts) => _layers.Add(new Layer(parts, this, config));

    protected override Tensor ForwardImages(Tensor hiddenStates, Tensor? attentionMask)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor current = hiddenStates.contiguous().alias();
        foreach (Layer layer in _layers)
        {
            using Tensor previous = current;
            current = layer.Forward(previous, attentionMask);
        }

        return current.MoveToOuterDisposeScope();
    }

    private sealed class Layer(EncoderLayerParts parts, FloatEncoder encoder, SiglipVisionConfigBase config)
    {
        private readonly FloatLinear _project = encoder.Own(new FloatLinear(parts.Query, parts.Key, parts.Value));
        private readonly FloatLinear _output = encoder.Own(new FloatLinear(parts.Output));
        private readonly FloatLinear _expand = encoder.Own(new FloatLinear(parts.Expand));
        private readonly FloatLinear _contract = encoder.Own(new FloatLinear(parts.Contract));

        // [batch, patches, hidden] -> [batch, patches, hidden]
        public Tensor Forward(Tensor hiddenStates, Tensor? attentionMask)
        {
            using DisposeScope scope = NewDisposeScope();
            hiddenStates = _output.CallAndAdd(Attend(parts.LayerNorm1.call(hiddenStates), attentionMask), hiddenStates);
            using Tensor expanded = _expand.Call(parts.LayerNorm2.call(hiddenStates), config.HiddenAct); // [batch, patches, intermediate]
            return _contract.CallAndAdd(expanded, hiddenStates).MoveToOuterDisposeScope();
        }

        private Tensor Attend(Tensor normalized, Tensor? attentionMask)
        {
            using Tensor projected = _project.Call(normalized).reshape(normalized.shape[0] * normalized.shape[1], -1); // [rows, 3 * hidden]
            using Tensor attended = FusedAttention.Attend(projected, (int)normalized.shape[0], config.NumAttentionHeads, attentionMask); // [rows, hidden]
            return attended.view(normalized.shape[0], normalized.shape[1], -1);
        }
    }
}
