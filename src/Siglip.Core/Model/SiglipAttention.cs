using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Multi-head self-attention: every patch looks at every patch.</summary>
/// <remarks>Source: transformers, modeling_siglip.py, class SiglipAttention; "Attention Is All You Need", 2017.</remarks>
public sealed class SiglipAttention : nn.Module<Tensor, Tensor>
{
    private readonly int _heads;
    private readonly int _headSize;
    private readonly double _dropout;
    private readonly Linear q_proj;
    private readonly Linear k_proj;
    private readonly Linear v_proj;
    private readonly Linear out_proj;

    /// <summary>Creates the module with new random weights.</summary>
    /// <exception cref="ArgumentException">The sizes do not fit together.</exception>
    public SiglipAttention(SiglipVisionConfigBase config) : base(ModuleConfig.Name(nameof(SiglipAttention)))
    {
        ModuleConfig.Check(config);
        using DisposeScope scope = NewDisposeScope(); // for what the initialization leaves behind
        _heads = config.NumAttentionHeads;
        _headSize = config.HiddenSize / config.NumAttentionHeads;
        _dropout = config.AttentionDropout;
        q_proj = Initialization.NewLinear(config.HiddenSize, config.HiddenSize);
        k_proj = Initialization.NewLinear(config.HiddenSize, config.HiddenSize);
        v_proj = Initialization.NewLinear(config.HiddenSize, config.HiddenSize);
        out_proj = Initialization.NewLinear(config.HiddenSize, config.HiddenSize);
        RegisterComponents();

        foreach (Linear linear in (Linear[])[q_proj, k_proj, v_proj, out_proj])
            Initialization.XavierUniform(linear);
    }

    /// <summary>Attends with the fused kernel.</summary>
    /// <param name="hiddenStates">[batch, patches, hidden].</param>
    /// <returns>[batch, patches, hidden].</returns>
    public override Tensor forward(Tensor hiddenStates) => Forward(hiddenStates, attentionMask: null);

    /// <summary>Attends with the fused kernel, to valid patches only.</summary>
    /// <param name="hiddenStates">[batch, patches, hidden].</param>
    /// <param name="attentionMask">Boolean [batch, 1, 1, patches], true for those that are attended to; null for all.</param>
    /// <returns>[batch, patches, hidden].</returns>
    public Tensor Forward(Tensor hiddenStates, Tensor? attentionMask)
    {
        ArgumentNullException.ThrowIfNull(hiddenStates);
        using DisposeScope scope = NewDisposeScope();
        (Tensor query, Tensor key, Tensor value) = Project(hiddenStates);
        Tensor attended = nn.functional.scaled_dot_product_attention(query, key, value, attentionMask, p: training ? _dropout : 0); // [batch, heads, patches, headSize]
        return out_proj.call(JoinHeads(attended)).MoveToOuterDisposeScope(); // [batch, patches, hidden]
    }

    /// <summary>Attends step by step, and returns the attention weights too.</summary>
    /// <param name="hiddenStates">[batch, patches, hidden].</param>
    /// <param name="attentionMask">Boolean [batch, 1, 1, patches], true for those that are attended to; null for all.</param>
    /// <returns>Output [batch, patches, hidden] and weights [batch, heads, patches, patches], each row of which sums to 1.</returns>
    public (Tensor Output, Tensor Weights) ForwardWithWeights(Tensor hiddenStates, Tensor? attentionMask = null)
    {
        ArgumentNullException.ThrowIfNull(hiddenStates);
        using DisposeScope scope = NewDisposeScope();
        (Tensor query, Tensor key, Tensor value) = Project(hiddenStates);
        Tensor scores = query.matmul(key.transpose(-2, -1)) * (1 / Math.Sqrt(_headSize)); // [batch, heads, patches, patches]
        if (attentionMask is not null)
            scores = scores.masked_fill(attentionMask.logical_not(), double.NegativeInfinity);
        Tensor weights = nn.functional.softmax(scores, -1);
        Tensor attended = nn.functional.dropout(weights, _dropout, training).matmul(value); // [batch, heads, patches, headSize]
        Tensor output = out_proj.call(JoinHeads(attended)); // [batch, patches, hidden]
        return (output.MoveToOuterDisposeScope(), weights.MoveToOuterDisposeScope());
    }

    internal (Linear Query, Linear Key, Linear Value, Linear Output) Parts => (q_proj, k_proj, v_proj, out_proj);

    internal void InitializeMimetic()
    {
        using DisposeScope scope = NewDisposeScope();
        for (int head = 0; head < _heads; head++)
        {
            int start = head * _headSize;
            Initialization.Mimetic(q_proj.weight![start..(start + _headSize)], k_proj.weight![start..(start + _headSize)], noise: 0.7, identity: 0.7);
        }

        Initialization.Mimetic(v_proj.weight!, out_proj.weight!.t(), noise: 0.4, identity: -0.4);
    }

    private (Tensor Query, Tensor Key, Tensor Value) Project(Tensor hiddenStates) =>
        (SplitHeads(q_proj.call(hiddenStates)), SplitHeads(k_proj.call(hiddenStates)), SplitHeads(v_proj.call(hiddenStates)));

    // [batch, patches, hidden] -> [batch, heads, patches, headSize]
    private Tensor SplitHeads(Tensor projected) =>
        projected.reshape(projected.shape[0], projected.shape[1], _heads, _headSize).transpose(1, 2);

    // [batch, heads, patches, headSize] -> [batch, patches, hidden]
    private Tensor JoinHeads(Tensor attended) =>
        attended.transpose(1, 2).reshape(attended.shape[0], attended.shape[2], _heads * _headSize);
}
