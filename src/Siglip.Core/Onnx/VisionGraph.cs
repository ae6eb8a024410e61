using TorchSharp;
using static Siglip.Core.Onnx.TensorProto.Types;
using static TorchSharp.torch;

namespace Siglip.Core.Onnx;

/// <summary>The vision transformer as a graph: encoder, final layer norm and pooling head. Names are those of the state dict.</summary>
internal sealed class VisionGraph
{
    public const string PixelValues = "pixel_values";
    public const string LastHiddenState = "last_hidden_state";
    public const string PoolerOutput = "pooler_output";
    public const string Batch = "batch";

    private readonly SiglipVisionConfigBase _config;
    private readonly IReadOnlyDictionary<string, Tensor> _weights;
    private readonly long _headSize;
    private readonly string _splitShape;
    private readonly string _joinedShape;
    private readonly string _attentionScale;

    /// <param name="config">The sizes.</param>
    /// <param name="weights">The state dict; read when the graph is written.</param>
    /// <param name="precision">Of the linear maps in encoder and head.</param>
    public VisionGraph(SiglipVisionConfigBase config, IReadOnlyDictionary<string, Tensor> weights, SiglipPrecision precision)
    {
        (_config, _weights, Linears) = (config, weights, new LinearGraph(Graph, precision));
        _headSize = config.HiddenSize / config.NumAttentionHeads;
        _splitShape = Graph.Int64s("split_heads", 0, 0, config.NumAttentionHeads, _headSize); // 0: as it is
        _joinedShape = Graph.Int64s("join_heads", 0, 0, config.HiddenSize);
        _attentionScale = Graph.Float("attention_scale", (float)(1 / Math.Sqrt(_headSize)));
    }

    public OnnxGraph Graph { get; } = new();

    public LinearGraph Linears { get; }

    /// <summary>Adds all layers and the final layer norm, whose result is the output <see cref="LastHiddenState"/> of whoever declares it.</summary>
    /// <param name="hiddenStates">[batch, patches, hidden].</param>
    /// <param name="attentionBias">[batch, 1, 1, patches], added to the scores; null for none.</param>
    public void Encode(string hiddenStates, string? attentionBias)
    {
        for (int i = 0; i < _config.NumHiddenLayers; i++)
            hiddenStates = Layer(hiddenStates, attentionBias, $"{ExpectedTensors.Prefix}encoder.layers.{i}.");
        LayerNorm(hiddenStates, ExpectedTensors.Prefix + "post_layernorm", LastHiddenState);
    }

    /// <summary>Adds the pooling head if the model has one, and declares the outputs.</summary>
    /// <param name="attentionBias">As for <see cref="Encode"/>.</param>
    /// <param name="patches">Number of patches, or its name.</param>
    public void Pool(string? attentionBias, object patches)
    {
        Graph.Output(LastHiddenState, DataType.Float, Batch, patches, _config.HiddenSize);
        if (!_config.VisionUseHead)
            return;

        const string Head = ExpectedTensors.Prefix + "head.";
        string query = Linears.Float32(Constant(Head + "probe"), Head + "attention.in_proj_query", PackedWeights(0)); // [1, 1, hidden], a constant
        string key = Linears.Linear(LastHiddenState, Head + "attention.in_proj_key", PackedWeights(1)); // [batch, patches, hidden]
        string value = Linears.Linear(LastHiddenState, Head + "attention.in_proj_value", PackedWeights(2));
        string attended = Attend(query, key, value, attentionBias, Head + "attention", Graph.Int64s(Head + "join_heads", -1, _config.HiddenSize)); // [batch, hidden]
        string pooled = Linear(attended, Head + "attention.out_proj");
        string expanded = Mlp(LayerNorm(pooled, Head + "layernorm"), Head + "mlp.");
        Graph.Node("Add", PoolerOutput, [pooled, expanded]); // the residual is the attention's output
        Graph.Output(PoolerOutput, DataType.Float, Batch, _config.HiddenSize);
    }

    /// <summary>Adds a classifier of the mean patch embedding, and declares its output.</summary>
    public void Classify(int labels)
    {
        const string Name = "classifier", Logits = "logits";
        string mean = Graph.Node("ReduceMean", Name + "/ReduceMean", [LastHiddenState, Graph.Int64s(Name + "/axes", 1)], OnnxGraph.Int("keepdims", 0)); // [batch, hidden]
        Linears.Float32(mean, Name, WeightsOf(Name), Logits);
        Graph.Output(Logits, DataType.Float, Batch, labels);
    }

    /// <summary>Adds a parameter as it is.</summary>
    public string Constant(string name) => Graph.Add(OnnxInitializer.OfTensor(name, DataType.Float, _weights[name].shape, () => Value(name)));

    /// <summary>The weights of one of torch's linear modules.</summary>
    public LinearWeights WeightsOf(string name)
    {
        long[] shape = _weights[name + ".weight"].shape;
        return new LinearWeights(shape[0], shape[1], () => Value(name + ".weight"), () => Value(name + ".bias"));
    }

    /// <summary>A parameter in float32 on the CPU, in the open dispose scope.</summary>
    public Tensor Value(string name) => _weights[name].detach().to(float32).cpu();

    // [batch, patches, hidden] -> the same
    private string Layer(string hiddenStates, string? attentionBias, string name)
    {
        string attention = name + "self_attn";
        string normalized = LayerNorm(hiddenStates, name + "layer_norm1");
        string query = Linear(normalized, attention + ".q_proj");
        string key = Linear(normalized, attention + ".k_proj");
        string value = Linear(normalized, attention + ".v_proj");
        string attended = Linear(Attend(query, key, value, attentionBias, attention, _joinedShape), attention + ".out_proj");
        hiddenStates = Graph.Node("Add", name + "Add", [hiddenStates, attended]);
        string expanded = Mlp(LayerNorm(hiddenStates, name + "layer_norm2"), name + "mlp.");
        return Graph.Node("Add", name + "Add_1", [hiddenStates, expanded]);
    }

    // [batch, queries, hidden] and two of [batch, patches, hidden] -> [batch, queries, hidden] or what the shape says
    private string Attend(string query, string key, string value, string? bias, string name, string joinedShape)
    {
        query = Graph.Node("Mul", name + "/Mul", [SplitHeads(query, name + "/query", [0, 2, 1, 3]), _attentionScale]); // [batch, heads, queries, headSize]
        key = SplitHeads(key, name + "/key", [0, 2, 3, 1]); // [batch, heads, headSize, patches]
        value = SplitHeads(value, name + "/value", [0, 2, 1, 3]); // [batch, heads, patches, headSize]
        string scores = Graph.Node("MatMul", name + "/MatMul", [query, key]); // [batch, heads, queries, patches]
        if (bias is not null)
            scores = Graph.Node("Add", name + "/Add", [scores, bias]);
        string weights = Graph.Node("Softmax", name + "/Softmax", [scores], OnnxGraph.Int("axis", -1));
        string attended = Graph.Node("MatMul", name + "/MatMul_1", [weights, value]); // [batch, heads, queries, headSize]
        attended = Graph.Node("Transpose", name + "/Transpose", [attended], OnnxGraph.Ints("perm", 0, 2, 1, 3)); // [batch, queries, heads, headSize]
        return Graph.Node("Reshape", name + "/Reshape", [attended, joinedShape]);
    }

    private string SplitHeads(string projected, string name, long[] order) => Graph.Node(
        "Transpose", name + "/Transpose", [Graph.Node("Reshape", name + "/Reshape", [projected, _splitShape])], OnnxGraph.Ints("perm", order));

    private string Mlp(string hiddenStates, string name) => Linear(Activate(Linear(hiddenStates, name + "fc1"), name + "activation_fn"), name + "fc2");

    private string Activate(string x, string name) => _config.HiddenAct switch
    {
        "gelu_pytorch_tanh" or "gelu_new" => Graph.Node("Gelu", name, [x], OnnxGraph.Text("approximate", "tanh")),
        "gelu" => Graph.Node("Gelu", name, [x]),
        "relu" => Graph.Node("Relu", name, [x]),
        "silu" => Graph.Node("Mul", name, [x, Graph.Node("Sigmoid", name + "/Sigmoid", [x])]),
        "quick_gelu" => Graph.Node("Mul", name,
            [x, Graph.Node("Sigmoid", name + "/Sigmoid", [Graph.Node("Mul", name + "/Mul", [x, Graph.Float(name + "/factor", 1.702f)])])]),
        _ => throw new NotSupportedException($"There is no graph for the activation '{_config.HiddenAct}'."),
    };

    private string Linear(string x, string name) => Linears.Linear(x, name, WeightsOf(name));

    private string LayerNorm(string x, string name, string? output = null) => Graph.Node(
        "LayerNormalization", output ?? name + "/LayerNormalization", [x, Constant(name + ".weight"), Constant(name + ".bias")],
        OnnxGraph.Int("axis", -1), OnnxGraph.Number("epsilon", (float)_config.LayerNormEps));

    // The pooling head's query (0), key (1) or value (2) projection, of the one packed matrix.
    private LinearWeights PackedWeights(int index)
    {
        const string Packed = ExpectedTensors.Prefix + "head.attention.in_proj_";
        int hidden = _config.HiddenSize;
        Tensor Part(string name) => Value(Packed + name).narrow(0, index * hidden, hidden);
        return new LinearWeights(hidden, hidden, () => Part("weight"), () => Part("bias"));
    }
}
