using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Embeddings, encoder, final layer norm and pooling head, for images of any shape; padding is masked in every layer and in the head.</summary>
/// <remarks>Encoder and head are those of <see cref="SiglipVisionTransformer"/>. Source: transformers, modeling_siglip2.py, class
/// Siglip2VisionTransformer; "SigLIP 2", 2025.</remarks>
public sealed class Siglip2VisionTransformer : nn.Module<Tensor, Tensor, Tensor, Tensor>
{
    private readonly Siglip2VisionEmbeddings embeddings;
    private readonly SiglipEncoder encoder;
    private readonly LayerNorm post_layernorm;
    private readonly SiglipMultiheadAttentionPoolingHead? head;

    /// <summary>Creates the module with new random weights.</summary>
    /// <exception cref="ArgumentException">The sizes do not fit together, or need more memory than the machine has.</exception>
    public Siglip2VisionTransformer(Siglip2VisionConfig config) : base(ModuleConfig.Name(nameof(Siglip2VisionTransformer)))
    {
        ModuleConfig.Check(config);
        ModuleConfig.CheckMemory(config);
        embeddings = new Siglip2VisionEmbeddings(config);
        encoder = new SiglipEncoder(config);
        post_layernorm = nn.LayerNorm(config.HiddenSize, config.LayerNormEps, dtype: Initialization.Dtype);
        head = config.VisionUseHead ? new SiglipMultiheadAttentionPoolingHead(config) : null;
        RegisterComponents();
    }

    /// <summary>Computes the patch embeddings.</summary>
    /// <param name="pixelValues">[batch, patches, patch height × patch width × channels].</param>
    /// <param name="pixelAttentionMask">[batch, patches]: not 0 for an image's patches, 0 for padding.</param>
    /// <param name="spatialShapes">Integers [batch, 2]: rows and columns of each image's patches.</param>
    /// <returns>[batch, patches, hidden], after the final layer norm; those of padding have no meaning.</returns>
    /// <exception cref="ArgumentException">A shape is another one, or an image has no patch or more than there is room for.</exception>
    public override Tensor forward(Tensor pixelValues, Tensor pixelAttentionMask, Tensor spatialShapes)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor mask = AttentionMask(pixelValues, pixelAttentionMask);
        Tensor hiddenStates = embeddings.call(pixelValues, spatialShapes); // [batch, patches, hidden]
        return post_layernorm.call(encoder.Forward(hiddenStates, mask)).MoveToOuterDisposeScope();
    }

    /// <summary>Computes the patch embeddings, the pooled embedding and what else is asked for.</summary>
    /// <param name="pixelValues">[batch, patches, patch height × patch width × channels].</param>
    /// <param name="pixelAttentionMask">[batch, patches]: not 0 for an image's patches, 0 for padding.</param>
    /// <param name="spatialShapes">Integers [batch, 2]: rows and columns of each image's patches.</param>
    /// <param name="options">What to return. Position embeddings are always resized to the image.</param>
    /// <returns>Tensors that the caller owns.</returns>
    /// <exception cref="ArgumentException">A shape is another one, or an image has no patch or more than there is room for.</exception>
    public SiglipVisionOutput Forward(Tensor pixelValues, Tensor pixelAttentionMask, Tensor spatialShapes, SiglipForwardOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        using DisposeScope scope = NewDisposeScope();
        List<Tensor>? keptHiddenStates = options.OutputHiddenStates ? [] : null;
        List<Tensor>? keptAttentions = options.OutputAttentions ? [] : null;

        Tensor mask = AttentionMask(pixelValues, pixelAttentionMask);
        Tensor hiddenStates = embeddings.call(pixelValues, spatialShapes); // [batch, patches, hidden]
        hiddenStates = keptHiddenStates is null && keptAttentions is null
            ? encoder.Forward(hiddenStates, mask)
            : encoder.Forward(hiddenStates, mask, keptHiddenStates, keptAttentions);
        Tensor last = post_layernorm.call(hiddenStates); // [batch, patches, hidden]
        return new SiglipVisionOutput(last, head?.Forward(last, mask), keptHiddenStates, keptAttentions).MoveToOuterDisposeScope();
    }

    internal SiglipEncoder Encoder => encoder;

    internal SiglipMultiheadAttentionPoolingHead? Head => head;

    // [batch, patches] -> boolean [batch, 1, 1, patches]: the same for every head and every patch that attends
    private static Tensor AttentionMask(Tensor pixelValues, Tensor pixelAttentionMask)
    {
        ArgumentNullException.ThrowIfNull(pixelValues);
        ArgumentNullException.ThrowIfNull(pixelAttentionMask);
        if (pixelValues.shape is [var batch, var patches, _] && !pixelAttentionMask.shape.SequenceEqual([batch, patches]))
            throw new ArgumentException($"pixelAttentionMask has shape [{string.Join(", ", pixelAttentionMask.shape)}], expected [{batch}, {patches}], a "
                + "number for each patch of pixelValues.");
        return pixelAttentionMask.to(@bool).unsqueeze(1).unsqueeze(1);
    }
}
