namespace Siglip.Core.Onnx;

/// <summary>What an export wrote.</summary>
/// <param name="Graph">With its inputs and outputs.</param>
/// <param name="DataPath">The second file, with the weights; null if they are in the first.</param>
internal sealed record ExportedOnnx(GraphProto Graph, string? DataPath);
