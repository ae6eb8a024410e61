using System.Globalization;
using Google.Protobuf;

namespace Siglip.Core.Onnx;

/// <summary>Writes a model as an .onnx file, with its weights inside or in a second file beside it.</summary>
internal static class OnnxFile
{
    /// <summary>The second file's name is that of the first and this, as in other exporters.</summary>
    public const string DataSuffix = "_data";

    /// <summary>Above this number of bytes the weights are in a second file in any case: a protobuf message has less than 2 GiB.</summary>
    public const long MaxInlineBytes = 2_000_000_000;

    private const int MinExternalBytes = 1024; // smaller ones, such as shapes, are looked at while a graph is read
    private const int Alignment = 4096; // of each tensor in the second file, so that it can be mapped into memory

    /// <summary>Writes the file or files; they appear under their names when they are complete.</summary>
    /// <param name="path">Of the .onnx file; an existing one is replaced.</param>
    /// <param name="model">All but the graph.</param>
    /// <param name="graph">Goes into the model.</param>
    /// <param name="externalData">Whether the weights are in a second file even if they are small.</param>
    /// <param name="cancellationToken">Ends the writing between two tensors; nothing is left.</param>
    /// <returns>The second file's path; null if there is none.</returns>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public static string? Write(string path, ModelProto model, OnnxGraph graph, bool externalData, CancellationToken cancellationToken)
    {
        externalData |= graph.Initializers.Sum(initializer => initializer.Length) > MaxInlineBytes;
        TensorProto[] headers = [.. graph.Initializers.Select(initializer => initializer.ToProto())];
        string? dataPath = externalData ? path + DataSuffix : null;
        using var staged = new StagedFiles();
        if (dataPath is not null)
            staged.Add(dataPath, stream => WriteData(stream, Path.GetFileName(dataPath), graph.Initializers, headers, cancellationToken));
        staged.Add(path, stream => WriteModel(stream, model, graph, headers, cancellationToken));
        staged.Commit();
        return dataPath;
    }

    // Writes the large tensors one after the other, and into their headers where they are.
    private static void WriteData(
        Stream stream, string name, IReadOnlyList<OnnxInitializer> initializers, TensorProto[] headers, CancellationToken cancellationToken)
    {
        byte[] padding = new byte[Alignment];
        long offset = 0;
        foreach ((OnnxInitializer initializer, TensorProto header) in initializers.Zip(headers))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (initializer.Length < MinExternalBytes)
                continue;
            int gap = (int)(-offset & (Alignment - 1));
            stream.Write(padding, 0, gap);
            offset += gap;
            header.DataLocation = TensorProto.Types.DataLocation.External;
            header.ExternalData.Add(new StringStringEntryProto { Key = "location", Value = name });
            header.ExternalData.Add(new StringStringEntryProto { Key = "offset", Value = offset.ToString(CultureInfo.InvariantCulture) });
            header.ExternalData.Add(new StringStringEntryProto { Key = "length", Value = initializer.Length.ToString(CultureInfo.InvariantCulture) });
            initializer.Write(stream);
            offset += initializer.Length;
        }
    }

    // The graph is one message, and each tensor a message in it. Both are written in parts, so that no tensor has to become an object.
    private static void WriteModel(Stream stream, ModelProto model, OnnxGraph graph, TensorProto[] headers, CancellationToken cancellationToken)
    {
        using var output = new CodedOutputStream(stream, leaveOpen: true);
        model.WriteTo(output);
        int[] sizes = [.. graph.Initializers.Zip(headers, (initializer, header) => header.CalculateSize() + RawDataSize(initializer, header))];
        output.WriteTag(ModelProto.GraphFieldNumber, WireFormat.WireType.LengthDelimited);
        output.WriteLength(graph.Proto.CalculateSize() + sizes.Sum(size => FieldSize(GraphProto.InitializerFieldNumber, size)));
        graph.Proto.WriteTo(output);
        for (int i = 0; i < headers.Length; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            OnnxInitializer initializer = graph.Initializers[i];
            output.WriteTag(GraphProto.InitializerFieldNumber, WireFormat.WireType.LengthDelimited);
            output.WriteLength(sizes[i]);
            headers[i].WriteTo(output);
            if (IsExternal(headers[i]))
                continue;
            output.WriteTag(TensorProto.RawDataFieldNumber, WireFormat.WireType.LengthDelimited);
            output.WriteLength((int)initializer.Length);
            output.Flush();
            initializer.Write(stream);
        }
    }

    private static bool IsExternal(TensorProto header) => header.DataLocation == TensorProto.Types.DataLocation.External;

    private static int RawDataSize(OnnxInitializer initializer, TensorProto header) =>
        IsExternal(header) ? 0 : FieldSize(TensorProto.RawDataFieldNumber, (int)initializer.Length);

    private static int FieldSize(int field, int length) =>
        CodedOutputStream.ComputeTagSize(field) + CodedOutputStream.ComputeLengthSize(length) + length;
}
