using TorchSharp;
using static Siglip.Core.Onnx.TensorProto.Types;

namespace Siglip.Core.Onnx;

/// <summary>Images of one size to patch embeddings with positions.</summary>
internal static class FixedResolutionGraph
{
    private const string Embeddings = ExpectedTensors.Prefix + "embeddings.";

    /// <summary>Adds everything from the pixels to the normalized patch embeddings.</summary>
    /// <param name="vision">Receives it.</param>
    /// <param name="config">The sizes.</param>
    /// <param name="height">Of the images, in pixels; at least a patch.</param>
    /// <param name="width">As above.</param>
    /// <returns>Number of patches.</returns>
    public static long Encode(VisionGraph vision, SiglipVisionConfig config, int height, int width)
    {
        OnnxGraph graph = vision.Graph;
        long rows = height / config.PatchSize, columns = width / config.PatchSize;
        string pixels = graph.Input(VisionGraph.PixelValues, DataType.Float, VisionGraph.Batch, config.NumChannels, height, width);
        string patches = graph.Node("Conv", Embeddings + "patch_embedding/Conv",
            [pixels, vision.Constant(Embeddings + "patch_embedding.weight"), vision.Constant(Embeddings + "patch_embedding.bias")],
            OnnxGraph.Ints("kernel_shape", config.PatchSize, config.PatchSize), OnnxGraph.Ints("strides", config.PatchSize, config.PatchSize)); // [batch, hidden, rows, columns]
        string flat = graph.Int64s(Embeddings + "flatten", 0, config.HiddenSize, rows * columns);
        patches = graph.Node("Reshape", Embeddings + "Reshape", [patches, flat]); // [batch, hidden, patches]
        patches = graph.Node("Transpose", Embeddings + "Transpose", [patches], OnnxGraph.Ints("perm", 0, 2, 1)); // [batch, patches, hidden]
        vision.Encode(graph.Node("Add", Embeddings + "Add", [patches, Positions(vision, config, rows, columns)]), attentionBias: null);
        return rows * columns;
    }

    // [patches, hidden]
    private static string Positions(VisionGraph vision, SiglipVisionConfig config, long rows, long columns)
    {
        long side = config.ImageSize / config.PatchSize;
        return (rows, columns) == (side, side)
            ? vision.Constant(ExpectedTensors.PositionEmbedding)
            : vision.Graph.Add(OnnxInitializer.OfTensor(ExpectedTensors.PositionEmbedding, DataType.Float, [rows * columns, config.HiddenSize],
                () => SiglipVisionEmbeddings.Interpolate(vision.Value(ExpectedTensors.PositionEmbedding), side, rows, columns)));
    }
}
