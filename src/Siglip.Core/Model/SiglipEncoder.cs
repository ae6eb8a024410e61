using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The stack of layers.</summary>
/// <remarks>Source: transformers, modeling_siglip.py, class SiglipEncoder.</remarks>
public sealed class SiglipEncoder : nn.Module<Tensor, Tensor>
{
    private const int LayersAtOnce = 4; // with fewer, the threads that read and those that pack wait for each other more often

    private readonly SiglipVisionConfigBase _config;
    private readonly ModuleList<SiglipEncoderLayer> layers;
    private PackedEncoder? _packed;
    private Dictionary<string, Tensor> _packedParameters = [];

    /// <summary>Creates the module with new random weights.</summary>
    /// <exception cref="ArgumentException">The sizes do not fit together.</exception>
    public SiglipEncoder(SiglipVisionConfigBase config) : base(ModuleConfig.Name(nameof(SiglipEncoder)))
    {
        _config = ModuleConfig.Check(config);
        layers = nn.ModuleList([.. Enumerable.Range(0, config.NumHiddenLayers).Select(_ => new SiglipEncoderLayer(config))]);
        RegisterComponents();
    }

    /// <summary>Computes all layers.</summary>
    /// <param name="hiddenStates">[batch, patches, hidden].</param>
    /// <returns>[batch, patches, hidden].</returns>
    public override Tensor forward(Tensor hiddenStates) => Forward(hiddenStates, attentionMask: null);

    /// <summary>Computes all layers; only valid patches are attended to.</summary>
    /// <param name="hiddenStates">[batch, patches, hidden].</param>
    /// <param name="attentionMask">Boolean [batch, 1, 1, patches], true for those that are attended to; null for all.</param>
    /// <returns>[batch, patches, hidden].</returns>
    public Tensor Forward(Tensor hiddenStates, Tensor? attentionMask)
    {
        ArgumentNullException.ThrowIfNull(hiddenStates);
        if (_packed is not null)
            return _packed.Forward(hiddenStates, attentionMask);
        using DisposeScope scope = NewDisposeScope();
        Tensor current = hiddenStates.alias();
        foreach (SiglipEncoderLayer layer in layers)
        {
            using Tensor previous = current; // freed as soon as the next layer has read it, which bounds the memory of inference
            current = layer.Forward(previous, attentionMask);
        }

        return current.MoveToOuterDisposeScope();
    }

    /// <summary>That of a model.</summary>
    internal static SiglipEncoder Of(nn.Module model) => model switch
    {
        SiglipVisionModel fixedResolution => fixedResolution.Encoder,
        Siglip2VisionModel variableResolution => variableResolution.Encoder,
        SiglipForImageClassification classifier => classifier.Encoder,
        _ => throw new ArgumentException($"A {model.GetType().Name} has no encoder.", nameof(model)),
    };

    /// <summary>Whether there are kernels that compute all layers together, with weights laid out for them.</summary>
    /// <param name="precision">In what to compute.</param>
    /// <param name="device">Where the parameters are.</param>
    internal static bool IsPackable(SiglipPrecision precision, Device device) =>
        device.type == DeviceType.CPU && TorchOperators.ArePackable(precision.OfModules().ToDtype());

    /// <summary>Lays the weights out for inference. From then on the layers compute all together only, and their weights are those of <see cref="Unpack"/>.</summary>
    /// <param name="precision">In what to compute: <see cref="IsPackable"/>. The parameters are of <see cref="SiglipPrecisionDtype.OfModules"/>.</param>
    /// <param name="read">Called with the numbers of some layers before their weights are taken, so that they need not be in memory earlier; null if all are.</param>
    internal void PackFor(SiglipPrecision precision, Action<int[]>? read = null)
    {
        using var noGradients = no_grad(); // what is to be differentiated keeps the memory of the parameters it was made of
        _packedParameters = state_dict();
        _packed = precision == SiglipPrecision.Int8 ? new Int8Encoder(_config) : new FloatEncoder(_config);
        foreach (int[] some in Enumerable.Range(0, layers.Count).Chunk(LayersAtOnce))
        {
            read?.Invoke(some);
            foreach (int layer in some)
                _packed.Add(layers[layer].Parts);
            NativeMemoryTrim.Trim();
        }
    }

    /// <summary>The weight that a parameter had before it was packed, or in 8 bits what it is computed with.</summary>
    /// <param name="name">In the encoder's state dict, where packed parameters are missing.</param>
    internal Tensor Unpack(string name) => _packed!.Unpack(_packedParameters[name])!;

    internal void InitializeMimetic()
    {
        foreach (SiglipEncoderLayer layer in layers)
            layer.InitializeMimetic();
    }

    /// <summary>Computes all layers and keeps what lies between them.</summary>
    /// <param name="hiddenStates">[batch, patches, hidden].</param>
    /// <param name="attentionMask">As above.</param>
    /// <param name="keepHiddenStates">Receives the input and each layer's output; the last one is the result. Null: not kept.</param>
    /// <param name="keepAttentions">Receives each layer's attention weights. Null: not kept, and the fused kernel is used.</param>
    /// <returns>[batch, patches, hidden].</returns>
    /// <remarks>All tensors belong to the dispose scope that is open.</remarks>
    internal Tensor Forward(Tensor hiddenStates, Tensor? attentionMask, List<Tensor>? keepHiddenStates, List<Tensor>? keepAttentions)
    {
        if (_packed is not null)
            throw new InvalidOperationException("The encoder's weights are packed for inference, which keeps nothing between layers. Load the model as a SiglipVisionModel instead.");
        keepHiddenStates?.Add(hiddenStates);
        foreach (SiglipEncoderLayer layer in layers)
        {
            if (keepAttentions is null)
            {
                hiddenStates = layer.Forward(hiddenStates, attentionMask);
            }
            else
            {
                (hiddenStates, Tensor weights) = layer.ForwardWithWeights(hiddenStates, attentionMask);
                keepAttentions.Add(weights);
            }

            keepHiddenStates?.Add(hiddenStates);
        }

        return hiddenStates;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _packed?.Dispose();
        base.Dispose(disposing);
    }
}
