using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The SigLIP 2 vision model with variable resolution (NaFlex): images keep their aspect ratio, and have as many patches as they need. Its state
/// dict has the names of a checkpoint written by transformers.</summary>
/// <remarks>Source: transformers, modeling_siglip2.py, class Siglip2VisionModel. SigLIP 2 checkpoints with fixed resolution are
/// <see cref="SiglipVisionModel"/>s.</remarks>
public sealed class Siglip2VisionModel : nn.Module<Tensor, Tensor, Tensor, Tensor>
{
    private readonly Siglip2VisionTransformer vision_model;

    /// <summary>Creates a model with new random weights, drawn from torch's generator as transformers does.</summary>
    /// <param name="config">The sizes.</param>
    /// <exception cref="ArgumentException">The sizes do not fit together, or need more memory than the machine has.</exception>
    /// <exception cref="DllNotFoundException">The application references no package with the native libraries.</exception>
    public Siglip2VisionModel(Siglip2VisionConfig config) : base(ModuleConfig.Name(nameof(Siglip2VisionModel)))
    {
        vision_model = new Siglip2VisionTransformer(config);
        RegisterComponents();
        Config = config;
    }

    /// <summary>The sizes.</summary>
    public Siglip2VisionConfig Config { get; }

    /// <summary>The preprocessing of the checkpoint that the model was loaded from; null if it was not loaded.</summary>
    internal Siglip2ImageProcessorConfig? ProcessorConfig { get; init; }

    /// <summary>Computes the patch embeddings (<c>last_hidden_state</c>).</summary>
    /// <param name="pixelValues">[batch, patches, patch height × patch width × channels], as <see cref="Siglip2ImageProcessor"/> makes them.</param>
    /// <param name="pixelAttentionMask">[batch, patches]: not 0 for an image's patches, 0 for padding.</param>
    /// <param name="spatialShapes">Integers [batch, 2]: rows and columns of each image's patches.</param>
    /// <returns>[batch, patches, hidden]; patches in row-major order. Those of padding have no meaning.</returns>
    /// <exception cref="ArgumentException">A shape is another one, or an image has no patch or more than there is room for.</exception>
    /// <remarks>NaN in an image's pixel values gives NaN in that image's results, never in those of others in the batch.</remarks>
    public override Tensor forward(Tensor pixelValues, Tensor pixelAttentionMask, Tensor spatialShapes) =>
        vision_model.call(pixelValues, pixelAttentionMask, spatialShapes);

    /// <summary>Computes the patch embeddings, the pooled embedding (<c>pooler_output</c>) and what else is asked for.</summary>
    /// <param name="pixelValues">[batch, patches, patch height × patch width × channels], as <see cref="Siglip2ImageProcessor"/> makes them.</param>
    /// <param name="pixelAttentionMask">[batch, patches]: not 0 for an image's patches, 0 for padding.</param>
    /// <param name="spatialShapes">Integers [batch, 2]: rows and columns of each image's patches.</param>
    /// <param name="options">What to return. Position embeddings are always resized to the image.</param>
    /// <returns>Tensors that the caller owns. What they say of padding has no meaning.</returns>
    /// <exception cref="ArgumentException">A shape is another one, or an image has no patch or more than there is room for.</exception>
    /// <remarks>NaN in an image's pixel values gives NaN in that image's results, never in those of others in the batch.</remarks>
    public SiglipVisionOutput Forward(Tensor pixelValues, Tensor pixelAttentionMask, Tensor spatialShapes, SiglipForwardOptions options) =>
        vision_model.Forward(pixelValues, pixelAttentionMask, spatialShapes, options);

    internal SiglipEncoder Encoder => vision_model.Encoder;

    internal SiglipMultiheadAttentionPoolingHead? Head => vision_model.Head;
}
