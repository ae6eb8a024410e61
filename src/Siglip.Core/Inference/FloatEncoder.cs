using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>In float32 or bfloat16: query, key and value are one product, activations and residuals are added where the products are written.</summary>
internal sealed class FloatEncoder(IReadOnlyList<EncoderLayerParts> layers, SiglipVisionConfigBase config) : PackedEncoder
{
    private readonly Layer[] _layers = [.. layers.Select(parts => new Layer(parts, config))];

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

    public override Tensor? Unpack(Tensor parameter) => _layers.Select(layer => layer.Unpack(parameter)).FirstOrDefault(weight => weight is not null);

    public override void Dispose()
    {
        foreach (Layer layer in _layers)
            layer.Dispose();
    }

    private sealed class Layer(EncoderLayerParts parts, SiglipVisionConfigBase config) : IDisposable
    {
        private readonly PackedLinear _project = new(parts.Query, parts.Key, parts.Value);
        private readonly PackedLinear _output = new(parts.Output);
        private readonly PackedLinear _expand = new(parts.Expand);
        private readonly PackedLinear _contract = new(parts.Contract);

        private PackedLinear[] All => [_project, _output, _expand, _contract];

        // [batch, patches, hidden] -> [batch, patches, hidden]
        public Tensor Forward(Tensor hiddenStates, Tensor? attentionMask)
        {
            using DisposeScope scope = NewDisposeScope();
            hiddenStates = _output.CallAndAdd(Attend(parts.LayerNorm1.call(hiddenStates), attentionMask), hiddenStates);
            using Tensor expanded = _expand.Call(parts.LayerNorm2.call(hiddenStates), config.HiddenAct); // [batch, patches, intermediate]
            return _contract.CallAndAdd(expanded, hiddenStates).MoveToOuterDisposeScope();
        }

        public Tensor? Unpack(Tensor parameter) => All.Select(packed => packed.Unpack(parameter)).FirstOrDefault(weight => weight is not null);

        public void Dispose()
        {
            foreach (PackedLinear packed in All)
                packed.Dispose();
        }

        private Tensor Attend(Tensor normalized, Tensor? attentionMask)
        {
            using Tensor projected = _project.Call(normalized).reshape(normalized.shape[0] * normalized.shape[1], -1); // [rows, 3 * hidden]
            using Tensor attended = FusedAttention.Attend(projected, (int)normalized.shape[0], config.NumAttentionHeads, attentionMask); // [rows, hidden]
            return attended.view(normalized.shape[0], normalized.shape[1], -1);
        }
    }
}
