namespace Siglip.Core;

/// <summary>The numbers of the weights in an exported ONNX file, in which its linear maps compute. Inputs and outputs are float32 in any case.</summary>
#pragma warning disable CA1720 // The field's own names.
public enum SiglipOnnxPrecision
{
    /// <summary>32 bits, the numbers of the model.</summary>
    Float32 = 0,

    /// <summary>8 bits with a scale for each output of a linear map; what goes into it is quantized to 8 bits when the graph runs. A quarter of the size,
    /// embeddings off by about 1 %.</summary>
    Int8 = 3,
}
#pragma warning restore CA1720
