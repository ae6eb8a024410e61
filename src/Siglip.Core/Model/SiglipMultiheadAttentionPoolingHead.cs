using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Pools the patches: a learned probe attends to all of them, followed by a perceptron.</summary>
/// <remarks>Source: transformers, modeling_siglip.py, class SiglipMultiheadAttentionPoolingHead; "Set Transformer", 2019.</remarks>
public sealed class SiglipMultiheadAttentionPoolingHead : nn.Module<Tensor, Tensor>
{
    private readonly Parameter probe;
    private readonly ProbeAttention attention;
    private readonly LayerNorm layernorm;
    private readonly SiglipMLP mlp;

    /// <summary>Creates the module with new random weights.</summary>
    /// <exception cref="ArgumentException">The sizes do not fit together.</exception>
    public SiglipMultiheadAttentionPoolingHead(SiglipVisionConfigBase config) : base(ModuleConfig.Name(nameof(SiglipMultiheadAttentionPoolingHead)))
    {
        ModuleConfig.Check(config);
        using DisposeScope scope = NewDisposeScope(); // for what the initialization leaves behind
        double bound = Math.Sqrt(6.0 / (config.HiddenSize + config.HiddenSize)); // Xavier uniform, fan in = fan out = hidden
        probe = nn.Parameter(empty(1, 1, config.HiddenSize, dtype: Initialization.Dtype));
        nn.init.uniform_(probe, -bound, bound);
        attention = new ProbeAttention(config);
        layernorm = nn.LayerNorm(config.HiddenSize, config.LayerNormEps, dtype: Initialization.Dtype);
        mlp = new SiglipMLP(config);
        RegisterComponents();
        ParameterLifetime.Detach(this);
    }

    /// <summary>Pools the patches of each image.</summary>
    /// <param name="hiddenStates">[batch, patches, hidden], after the final layer norm.</param>
    /// <returns>[batch, hidden].</returns>
    public override Tensor forward(Tensor hiddenStates) => Forward(hiddenStates, attentionMask: null);

    /// <summary>Pools the valid patches of each image.</summary>
    /// <param name="hiddenStates">[batch, patches, hidden], after the final layer norm.</param>
    /// <param name="attentionMask">Boolean [batch, 1, 1, patches], true for those that are attended to; null for all.</param>
    /// <returns>[batch, hidden].</returns>
    public Tensor Forward(Tensor hiddenStates, Tensor? attentionMask)
    {
        ArgumentNullException.ThrowIfNull(hiddenStates);
        using DisposeScope scope = NewDisposeScope();
        Tensor pooled = attention.Forward(probe, hiddenStates, attentionMask); // [batch, 1, hidden]
        return Finish(pooled).MoveToOuterDisposeScope(); // [batch, hidden]
    }

    /// <summary>Pools the patches step by step, and returns the probe's attention weights too.</summary>
    /// <param name="hiddenStates">[batch, patches, hidden], after the final layer norm.</param>
    /// <returns>Output [batch, hidden] and weights [batch, heads, 1, patches], each row of which sums to 1.</returns>
    internal (Tensor Output, Tensor Weights) ForwardWithWeights(Tensor hiddenStates)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor pooled, Tensor weights) = attention.ForwardWithWeights(probe, hiddenStates); // [batch, 1, hidden]
        return (Finish(pooled).MoveToOuterDisposeScope(), weights.MoveToOuterDisposeScope());
    }

    // [batch, 1, hidden] -> [batch, hidden]. The residual is the attention's output; nothing is added to the probe.
    private Tensor Finish(Tensor pooled) => (pooled + mlp.call(layernorm.call(pooled))).squeeze(1);

    /// <summary>torch's multi-head attention with one packed input projection, for a single query.</summary>
    /// <remarks>TorchSharp's own module is not batch-first and leaks a tensor without weights, hence this one under the same parameter names.</remarks>
    private sealed class ProbeAttention : nn.Module<Tensor, Tensor, Tensor>
    {
        private readonly int _heads;
        private readonly int _headSize;
        private readonly Parameter in_proj_weight; // [3 * hidden, hidden]: query, key, value
        private readonly Parameter in_proj_bias; // [3 * hidden]
        private readonly Linear out_proj;

        public ProbeAttention(SiglipVisionConfigBase config) : base(ModuleConfig.Name(nameof(ProbeAttention)))
        {
            _heads = config.NumAttentionHeads;
            _headSize = config.HiddenSize / config.NumAttentionHeads;
            in_proj_weight = nn.Parameter(empty(3 * config.HiddenSize, config.HiddenSize, dtype: Initialization.Dtype));
            in_proj_bias = nn.Parameter(zeros(3 * config.HiddenSize, dtype: Initialization.Dtype));
            out_proj = Initialization.NewLinear(config.HiddenSize, config.HiddenSize);
            RegisterComponents();

            Initialization.XavierUniform(in_proj_weight);
            Initialization.LecunNormal(out_proj.weight!, config.HiddenSize);
            nn.init.zeros_(out_proj.bias!);
        }

        public override Tensor forward(Tensor query, Tensor hiddenStates) => Forward(query, hiddenStates, attentionMask: null);

        // query [1, 1, hidden], hiddenStates [batch, patches, hidden], mask [batch, 1, 1, patches] -> [batch, 1, hidden]
        public Tensor Forward(Tensor query, Tensor hiddenStates, Tensor? attentionMask)
        {
            using DisposeScope scope = NewDisposeScope();
            if (!is_grad_enabled())
                return out_proj.call(AttendOnce(query, hiddenStates, attentionMask)).MoveToOuterDisposeScope();

            (Tensor projectedQuery, Tensor key, Tensor value) = Project(query, hiddenStates);
            Tensor attended = nn.functional.scaled_dot_product_attention(projectedQuery, key, value, attentionMask); // [batch, heads, 1, headSize]
            return out_proj.call(JoinHeads(attended)).MoveToOuterDisposeScope();
        }

        // query [1, 1, hidden], hiddenStates [batch, patches, hidden] -> [batch, 1, hidden] and [batch, heads, 1, patches]
        public (Tensor Output, Tensor Weights) ForwardWithWeights(Tensor query, Tensor hiddenStates)
        {
            using DisposeScope scope = NewDisposeScope();
            (Tensor projectedQuery, Tensor key, Tensor value) = Project(query, hiddenStates);
            Tensor weights = nn.functional.softmax(projectedQuery.matmul(key.transpose(-2, -1)) * (1 / Math.Sqrt(_headSize)), -1); // [batch, heads, 1, patches]
            Tensor output = out_proj.call(JoinHeads(weights.matmul(value)));
            return (output.MoveToOuterDisposeScope(), weights.MoveToOuterDisposeScope());
        }

        // [batch, heads, 1, headSize], [batch, heads, patches, headSize] twice
        private (Tensor Query, Tensor Key, Tensor Value) Project(Tensor query, Tensor hiddenStates)
        {
            Tensor[] weights = in_proj_weight.chunk(3); // [hidden, hidden] each
            Tensor[] biases = in_proj_bias.chunk(3); // [hidden] each
            return (
                SplitHeads(nn.functional.linear(query, weights[0], biases[0])).expand(hiddenStates.shape[0], -1, -1, -1),
                SplitHeads(nn.functional.linear(hiddenStates, weights[1], biases[1])),
                SplitHeads(nn.functional.linear(hiddenStates, weights[2], biases[2])));
        }

        // The same without projecting every patch: as the query is one vector, its scores are products of the patches with that vector times the key weights, and the
        // value weights are multiplied with sums of patches. The key bias adds the same number to all scores of a softmax, which changes nothing.
        // query [1, 1, hidden], hiddenStates [batch, patches, hidden], mask [batch, 1, 1, patches] -> [batch, 1, hidden]
        private Tensor AttendOnce(Tensor query, Tensor hiddenStates, Tensor? attentionMask)
        {
            long hidden = hiddenStates.shape[2];
            Tensor[] weights = in_proj_weight.view(3, _heads, _headSize, hidden).unbind(0); // [heads, headSize, hidden] each
            Tensor[] biases = in_proj_bias.chunk(3); // [hidden] each
            Tensor projectedQuery = nn.functional.linear(query, weights[0].reshape(-1, hidden), biases[0]).view(_heads, 1, _headSize) * (1 / Math.Sqrt(_headSize));
            Tensor probes = projectedQuery.bmm(weights[1]).squeeze(1); // [heads, hidden]
            Tensor scores = hiddenStates.matmul(probes.t()).transpose(1, 2); // [batch, heads, patches]
            if (attentionMask is not null)
                scores = scores.masked_fill(attentionMask.squeeze(1).logical_not(), double.NegativeInfinity);
            Tensor sums = scores.softmax(-1).matmul(hiddenStates); // [batch, heads, hidden]
            Tensor values = sums.transpose(0, 1).bmm(weights[2].transpose(1, 2)); // [heads, batch, headSize]
            return (values.transpose(0, 1).reshape(-1, hidden) + biases[2]).unsqueeze(1);
        }

        private Tensor SplitHeads(Tensor projected) =>
            projected.reshape(projected.shape[0], projected.shape[1], _heads, _headSize).transpose(1, 2);

        // [batch, heads, 1, headSize] -> [batch, 1, hidden]
        private Tensor JoinHeads(Tensor attended) => attended.transpose(1, 2).reshape(attended.shape[0], 1, _heads * _headSize);
    }
}
