using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The vision transformer with a linear classifier on the mean of its patch embeddings.</summary>
/// <remarks>Source: transformers, modeling_siglip.py, class SiglipForImageClassification.</remarks>
public sealed class SiglipForImageClassification : nn.Module<Tensor, Tensor>
{
    private readonly SiglipVisionTransformer vision_model;
    private readonly Linear classifier;

    /// <summary>Creates a model with new random weights, drawn from torch's generator as transformers does.</summary>
    /// <param name="config">The sizes of the vision transformer.</param>
    /// <param name="labels">The classes' names, in the order of the logits; at least one, no two alike.</param>
    /// <exception cref="ArgumentException">The sizes do not fit together or need more memory than the machine has, or there is no label, or one of them twice.</exception>
    /// <exception cref="DllNotFoundException">The application references no package with the native libraries.</exception>
    public SiglipForImageClassification(SiglipVisionConfig config, IReadOnlyList<string> labels) : base(ModuleConfig.Name(nameof(SiglipForImageClassification)))
    {
        ArgumentNullException.ThrowIfNull(labels);
        if (labels.Count == 0)
            throw new ArgumentException("There are no labels; a classifier needs at least one class.", nameof(labels));
        if (labels.Distinct(StringComparer.Ordinal).Count() != labels.Count)
            throw new ArgumentException($"A label occurs twice: {string.Join(", ", labels)}.", nameof(labels));

        vision_model = new SiglipVisionTransformer(config);
        using DisposeScope scope = NewDisposeScope(); // for what the initialization leaves behind
        classifier = Initialization.NewLinear(config.HiddenSize, labels.Count);
        RegisterComponents();
        nn.init.normal_(classifier.weight!, 0, 1 / Math.Sqrt(config.HiddenSize));
        nn.init.zeros_(classifier.bias!);
        ParameterLifetime.Detach(classifier);
        Config = config;
        Labels = [.. labels];
    }

    /// <summary>The sizes of the vision transformer.</summary>
    public SiglipVisionConfig Config { get; }

    /// <summary>The preprocessing of the checkpoint that the model was loaded from; null if it was not loaded.</summary>
    internal SiglipImageProcessorConfig? ProcessorConfig { get; init; }

    /// <summary>The classes' names, in the order of the logits.</summary>
    public IReadOnlyList<string> Labels { get; }

    /// <summary>Computes the logits: the classifier of the mean patch embedding.</summary>
    /// <param name="pixelValues">[batch, channels, height, width].</param>
    /// <returns>[batch, labels].</returns>
    /// <exception cref="ArgumentException">The shape is another one.</exception>
    public override Tensor forward(Tensor pixelValues) => OfMean(pixelValues, new SiglipForwardOptions());

    /// <summary>Computes the logits of images, of any size of at least one patch if the position embeddings may be interpolated.</summary>
    /// <param name="pixelValues">[batch, channels, height, width].</param>
    /// <param name="interpolatePositionEncoding">Whether to interpolate the position embeddings to the images' grid of patches.</param>
    /// <returns>[batch, labels].</returns>
    /// <exception cref="ArgumentException">The shape is another one.</exception>
    public Tensor Forward(Tensor pixelValues, bool interpolatePositionEncoding) =>
        OfMean(pixelValues, new SiglipForwardOptions { InterpolatePositionEncoding = interpolatePositionEncoding });

    /// <summary>Gives the vision transformer the start weights of "Mimetic Initialization of Self-Attention Layers" (Trockman and Kolter, 2023), and position
    /// embeddings of sines and cosines, drawn from torch's generator: a model that is trained from scratch on few images learns much faster.</summary>
    public void InitializeMimetic() => vision_model.InitializeMimetic();

    /// <summary>Computes the mean patch embedding, without the pooling head.</summary>
    /// <param name="pixelValues">[batch, channels, height, width].</param>
    /// <param name="options">Which images are accepted, and which patches are left out.</param>
    /// <returns>[batch, hidden].</returns>
    internal Tensor EmbedMean(Tensor pixelValues, SiglipForwardOptions options)
    {
        using Tensor patches = vision_model.ForwardPatches(pixelValues, options); // [batch, patches, hidden]
        return patches.mean([1]); // [batch, hidden]
    }

    /// <summary>Computes the mean patch embedding and the pooled one.</summary>
    /// <param name="pixelValues">[batch, channels, height, width].</param>
    /// <param name="options">Which images are accepted, and which patches are left out.</param>
    /// <returns>[batch, hidden] each; the second is null if the model has no pooling head.</returns>
    internal (Tensor Mean, Tensor? Pooled) EmbedBoth(Tensor pixelValues, SiglipForwardOptions options)
    {
        SiglipVisionOutput output = vision_model.Forward(pixelValues, options);
        using Tensor patches = output.LastHiddenState; // [batch, patches, hidden]
        return (patches.mean([1]), output.PoolerOutput); // [batch, hidden]
    }

    /// <summary>Computes the logits of embeddings.</summary>
    /// <param name="embeddings">[batch, hidden].</param>
    /// <returns>[batch, labels].</returns>
    internal Tensor Classify(Tensor embeddings) => classifier.call(embeddings);

    internal SiglipEncoder Encoder => vision_model.Encoder;

    // [batch, labels]
    private Tensor OfMean(Tensor pixelValues, SiglipForwardOptions options)
    {
        using Tensor mean = EmbedMean(pixelValues, options);
        return Classify(mean);
    }
}
