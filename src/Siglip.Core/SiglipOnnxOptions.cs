namespace Siglip.Core;

/// <summary>How a model is exported to ONNX.</summary>
public sealed record SiglipOnnxOptions
{
    /// <summary>The numbers of the weights of linear maps: <see cref="SiglipPrecision.Float32"/> (the default), or <see cref="SiglipPrecision.Int8"/> with a scale
    /// for each output, whose inputs are quantized when the graph runs: a quarter of the size, embeddings off by about 1 %. Inputs and outputs of the graph are
    /// float32 in any case.</summary>
    public SiglipPrecision Precision { get; init; }

    /// <summary>Whether the weights are in a second file beside the first, whose name has <c>_data</c> at the end. The default is false: only weights of
    /// more than 2 GB are, because one file cannot hold them.</summary>
    public bool ExternalData { get; init; }

    /// <summary>Height of the images in pixels, at least a patch; null (the default) for the model's. For another size the position embeddings are
    /// interpolated once. Not for models with variable resolution.</summary>
    public int? ImageHeight { get; init; }

    /// <summary>Width of the images in pixels, at least a patch; null (the default) for the model's. As <see cref="ImageHeight"/>.</summary>
    public int? ImageWidth { get; init; }
}
