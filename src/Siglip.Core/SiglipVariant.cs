namespace Siglip.Core;

/// <summary>The architecture and the preprocessing of a published checkpoint, without its weights.</summary>
/// <param name="HubId">Its name on the Hugging Face hub, such as google/siglip-base-patch16-224.</param>
/// <param name="Config">The sizes of the vision model: a <see cref="SiglipVisionConfig"/>, or a <see cref="Siglip2VisionConfig"/> if it has variable
/// resolution (NaFlex).</param>
/// <param name="ProcessorConfig">How images become its pixel values: a <see cref="SiglipImageProcessorConfig"/>, or a
/// <see cref="Siglip2ImageProcessorConfig"/> if it has variable resolution.</param>
public sealed record SiglipVariant(string HubId, SiglipVisionConfigBase Config, SiglipImageProcessorConfigBase ProcessorConfig)
{
    /// <summary>Number of the vision model's parameters, with the pooling head.</summary>
    public long ParameterCount => ExpectedTensors.ParameterCount(Config);
}
