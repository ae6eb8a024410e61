using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The SigLIP vision model. Its state dict has the names of a checkpoint written by transformers.</summary>
/// <remarks>Source: transformers, modeling_siglip.py, class SiglipVisionModel.</remarks>
/// <example>
/// <code>
/// using var model = new SiglipVisionModel(new SiglipVisionConfig());
/// using Tensor embeddings = model.call(torch.zeros(1, 3, 224, 224)); // [1, 196, 768]
/// </code>
/// </example>
public sealed class SiglipVisionModel : nn.Module<Tensor, Tensor>
{
    private readonly SiglipVisionTransformer vision_model;

    /// <summary>Creates a model with new random weights, drawn from torch's generator as transformers does.</summary>
    /// <param name="config">The sizes.</param>
    /// <exception cref="ArgumentException">The sizes do not fit together, or need more memory than the machine has.</exception>
    /// <exception cref="DllNotFoundException">The application references no package with the native libraries.</exception>
    public SiglipVisionModel(SiglipVisionConfig config) : base(ModuleConfig.Name(nameof(SiglipVisionModel)))
    {
        vision_model = new SiglipVisionTransformer(config);
        RegisterComponents();
        Config = config;
    }

    /// <summary>The sizes.</summary>
    public SiglipVisionConfig Config { get; }

    /// <summary>The preprocessing of the checkpoint that the model was loaded from; null if it was not loaded.</summary>
    internal SiglipImageProcessorConfig? ProcessorConfig { get; init; }

    /// <summary>Computes the patch embeddings (<c>last_hidden_state</c>).</summary>
    /// <param name="pixelValues">[batch, channels, height, width], as <see cref="SiglipImageProcessor"/> makes them.</param>
    /// <returns>[batch, patches, hidden]; patches in row-major order.</returns>
    /// <exception cref="ArgumentException">The shape is another one.</exception>
    /// <remarks>NaN in an image's pixel values gives NaN in that image's results, never in those of others in the batch.</remarks>
    public override Tensor forward(Tensor pixelValues) => vision_model.call(pixelValues);

    /// <summary>Computes the patch embeddings, the pooled embedding (<c>pooler_output</c>) and what else is asked for.</summary>
    /// <param name="pixelValues">[batch, channels, height, width], as <see cref="SiglipImageProcessor"/> makes them.</param>
    /// <param name="options">What to return, and whether other image sizes are accepted.</param>
    /// <returns>Tensors that the caller owns.</returns>
    /// <exception cref="ArgumentException">The shape is another one.</exception>
    /// <remarks>NaN in an image's pixel values gives NaN in that image's results, never in those of others in the batch.</remarks>
    public SiglipVisionOutput Forward(Tensor pixelValues, SiglipForwardOptions options) => vision_model.Forward(pixelValues, options);

    /// <summary>Computes the patch embeddings of images of any size, without the pooling head.</summary>
    internal Tensor Forward(Tensor pixelValues, bool interpolatePositionEncoding) =>
        vision_model.ForwardPatches(pixelValues, new SiglipForwardOptions { InterpolatePositionEncoding = interpolatePositionEncoding });

    internal SiglipEncoder Encoder => vision_model.Encoder;

    internal SiglipMultiheadAttentionPoolingHead? Head => vision_model.Head;
}
