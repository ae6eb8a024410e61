using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Embeddings, encoder, final layer norm and pooling head.</summary>
/// <remarks>Source: transformers, modeling_siglip.py, class SiglipVisionTransformer; "Sigmoid Loss for Language Image Pre-Training", 2023.</remarks>
public sealed class SiglipVisionTransformer : nn.Module<Tensor, Tensor>
{
    private readonly SiglipVisionEmbeddings embeddings;
    private readonly SiglipEncoder encoder;
    private readonly LayerNorm post_layernorm;
    private readonly SiglipMultiheadAttentionPoolingHead? head;

    /// <summary>Creates the module with new random weights.</summary>
    /// <exception cref="ArgumentException">The sizes do not fit together, or need more memory than the machine has.</exception>
    public SiglipVisionTransformer(SiglipVisionConfig config) : base(ModuleConfig.Name(nameof(SiglipVisionTransformer)))
    {
        ModuleConfig.Check(config);
        ModuleConfig.CheckMemory(config);
        embeddings = new SiglipVisionEmbeddings(config);
        encoder = new SiglipEncoder(config);
        post_layernorm = nn.LayerNorm(config.HiddenSize, config.LayerNormEps, dtype: Initialization.Dtype);
        head = config.VisionUseHead ? new SiglipMultiheadAttentionPoolingHead(config) : null;
        RegisterComponents();
    }

    /// <summary>Computes the patch embeddings.</summary>
    /// <param name="pixelValues">[batch, channels, height, width].</param>
    /// <returns>[batch, patches, hidden], after the final layer norm.</returns>
    /// <exception cref="ArgumentException">The shape is another one.</exception>
    public override Tensor forward(Tensor pixelValues) => ForwardPatches(pixelValues, new SiglipForwardOptions());

    /// <summary>Computes the patch embeddings, the pooled embedding and what else is asked for.</summary>
    /// <param name="pixelValues">[batch, channels, height, width].</param>
    /// <param name="options">What to return, and whether other image sizes are accepted.</param>
    /// <returns>Tensors that the caller owns.</returns>
    /// <exception cref="ArgumentException">The shape is another one.</exception>
    public SiglipVisionOutput Forward(Tensor pixelValues, SiglipForwardOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        using DisposeScope scope = NewDisposeScope();
        List<Tensor>? keptHiddenStates = options.OutputHiddenStates ? [] : null;
        List<Tensor>? keptAttentions = options.OutputAttentions ? [] : null;

        Tensor hiddenStates = Embed(pixelValues, options); // [batch, patches, hidden]
        hiddenStates = keptHiddenStates is null && keptAttentions is null
            ? encoder.call(hiddenStates)
            : encoder.Forward(hiddenStates, attentionMask: null, keptHiddenStates, keptAttentions);
        Tensor last = post_layernorm.call(hiddenStates); // [batch, patches, hidden]
        return new SiglipVisionOutput(last, head?.call(last), keptHiddenStates, keptAttentions).MoveToOuterDisposeScope();
    }

    /// <summary>Computes the patch embeddings only, without the pooling head.</summary>
    internal Tensor ForwardPatches(Tensor pixelValues, SiglipForwardOptions options)
    {
        using DisposeScope scope = NewDisposeScope();
        return post_layernorm.call(encoder.call(Embed(pixelValues, options))).MoveToOuterDisposeScope(); // [batch, patches, hidden]
    }

    internal void InitializeMimetic()
    {
        embeddings.InitializeMimetic();
        encoder.InitializeMimetic();
    }

    internal SiglipEncoder Encoder => encoder;

    internal SiglipMultiheadAttentionPoolingHead? Head => head;

    // [batch, patches, hidden]
    private Tensor Embed(Tensor pixelValues, SiglipForwardOptions options)
    {
        Tensor patches = embeddings.Forward(pixelValues, options.InterpolatePositionEncoding);
        if (options.PatchDropout == 0)
            return patches;
        long count = patches.shape[1], kept = Math.Max(1, (long)Math.Round(count * (1 - options.PatchDropout)));
        Tensor chosen = rand(patches.shape[0], count, device: patches.device).argsort(1).narrow(1, 0, kept); // [batch, kept]
        return patches.gather(1, chosen.unsqueeze(2).expand(-1, -1, patches.shape[2]));
    }
}
