using TorchSharp;
using static Siglip.Core.Onnx.TensorProto.Types;

namespace Siglip.Core.Onnx;

/// <summary>Patches of images of any shape to patch embeddings with positions, whose grid is resized to each image's: <see cref="PositionGrid"/> as a graph.</summary>
internal static class VariableResolutionGraph
{
    public const string Patches = "patches";

    private const string Embeddings = ExpectedTensors.Prefix + "embeddings.";
    private const string PositionName = Embeddings + "position_embedding";

    /// <summary>Adds everything from the patches to the normalized patch embeddings.</summary>
    /// <param name="vision">Receives it.</param>
    /// <param name="config">The sizes.</param>
    /// <returns>The mask [batch, 1, 1, patches] that is to be added to attention scores.</returns>
    public static string Encode(VisionGraph vision, Siglip2VisionConfig config)
    {
        OnnxGraph graph = vision.Graph;
        string pixels = graph.Input(VisionGraph.PixelValues, DataType.Float, VisionGraph.Batch, Patches, config.ValuesPerPatch);
        string mask = graph.Input("pixel_attention_mask", DataType.Int64, VisionGraph.Batch, Patches);
        string shapes = graph.Input("spatial_shapes", DataType.Int64, VisionGraph.Batch, 2);

        string patches = vision.Linears.Float32(pixels, Embeddings + "patch_embedding", vision.WeightsOf(Embeddings + "patch_embedding")); // [batch, patches, hidden]
        string embedded = graph.Node("Add", Embeddings + "Add", [patches, Positions(vision, config, pixels, shapes)]);
        string bias = Bias(graph, mask);
        vision.Encode(embedded, bias);
        return bias;
    }

    private static string Bias(OnnxGraph graph, string mask)
    {
        string isPatch = graph.Node("Cast", mask + "/Cast", [mask], OnnxGraph.Int("to", (long)DataType.Bool)); // [batch, patches]
        string bias = graph.Node("Where", mask + "/Where", [isPatch, graph.Float(mask + "/zero", 0), graph.Float(mask + "/lowest", float.MinValue)]);
        return graph.Node("Unsqueeze", mask + "/Unsqueeze", [bias, graph.Int64s(mask + "/axes", 1, 2)]); // [batch, 1, 1, patches]
    }

    // Every position is a mean of those of the square grid, with a product of two weights: one from its row, one from its column.
    private static string Positions(VisionGraph vision, Siglip2VisionConfig config, string pixels, string shapes)
    {
        OnnxGraph graph = vision.Graph;
        string Name(string part) => $"{PositionName}/{part}";

        string zero = graph.Int64(Name("zero"), 0), one = graph.Int64(Name("one"), 1);
        string rows = graph.Node("Gather", Name("rows"), [shapes, graph.Int64s(Name("first"), 0)], OnnxGraph.Int("axis", 1)); // [batch, 1]
        string columns = graph.Node("Gather", Name("columns"), [shapes, graph.Int64s(Name("second"), 1)], OnnxGraph.Int("axis", 1)); // [batch, 1]
        string shape = graph.Node("Shape", Name("Shape"), [pixels]);
        string count = graph.Node("Gather", Name("count"), [shape, one], OnnxGraph.Int("axis", 0)); // number of patches with padding
        string index = graph.Node("Range", Name("Range"), [zero, count, one]); // [patches]
        string valid = graph.Node("Less", Name("Less"), [index, graph.Node("Mul", Name("valid"), [rows, columns])]); // [batch, patches]
        index = graph.Node("Where", Name("Where"), [valid, index, zero]); // padding gets the first position
        string row = graph.Node("Div", Name("row"), [index, columns]); // [batch, patches]
        string column = graph.Node("Mod", Name("column"), [index, columns]);

        string rowWeights = graph.Node("Unsqueeze", Name("row_weights"), [Weights(graph, row, rows, config.GridSide, Name("row")), graph.Int64s(Name("last"), 3)]);
        string columnWeights = graph.Node("Unsqueeze", Name("column_weights"), [Weights(graph, column, columns, config.GridSide, Name("column")), graph.Int64s(Name("third"), 2)]);
        string weights = graph.Node("Mul", Name("weights"), [rowWeights, columnWeights]); // [batch, patches, side, side]
        weights = graph.Node("Reshape", Name("Reshape"), [weights, graph.Int64s(Name("flat"), 0, 0, config.NumPatches)]);
        return graph.Node("MatMul", Name("MatMul"), [weights, vision.Constant(ExpectedTensors.PositionEmbedding)]); // [batch, patches, hidden]
    }

    // Triangle weights along one axis, each image's as wide as its reduction: [batch, patches] and [batch, 1] -> [batch, patches, side]. In float64 until they
    // are done, as in the model.
    private static string Weights(OnnxGraph graph, string position, string size, int side, string name)
    {
        string Name(string part) => $"{name}/{part}";
        string ToDouble(string value, string part) => graph.Node("Cast", Name(part), [value], OnnxGraph.Int("to", (long)DataType.Double));

        string one = graph.Double(Name("one"), 1), half = graph.Double(Name("half"), 0.5), last = graph.Int64s(Name("last"), -1);
        string scale = graph.Node("Div", Name("scale"), [graph.Double(Name("side"), side), ToDouble(size, "size")]); // [batch, 1]
        string centre = graph.Node("Mul", Name("centre"), [graph.Node("Add", Name("Add"), [ToDouble(position, "position"), half]), scale]); // [batch, patches]
        centre = graph.Node("Unsqueeze", Name("Unsqueeze"), [centre, last]); // [batch, patches, 1]
        string support = graph.Node("Unsqueeze", Name("support"), [graph.Node("Max", Name("Max"), [scale, one]), last]); // [batch, 1, 1]
        string old = graph.Doubles(Name("old"), [.. Enumerable.Range(0, side).Select(i => i + 0.5)]); // [side]
        string distance = graph.Node("Abs", Name("Abs"), [graph.Node("Sub", Name("Sub"), [old, centre])]); // [batch, patches, side]
        string share = graph.Node("Sub", Name("share"), [one, graph.Node("Div", Name("distance"), [distance, support])]);
        share = graph.Node("Max", Name("triangle"), [share, graph.Double(Name("zero"), 0)]);
        string sum = graph.Node("ReduceSum", Name("ReduceSum"), [share, last], OnnxGraph.Int("keepdims", 1)); // [batch, patches, 1]
        return graph.Node("Cast", Name("weights"), [graph.Node("Div", Name("normalized"), [share, sum])], OnnxGraph.Int("to", (long)DataType.Float));
    }
}
