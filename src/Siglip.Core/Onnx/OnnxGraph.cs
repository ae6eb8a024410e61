using System.Runtime.InteropServices;
using Google.Protobuf;
using static Siglip.Core.Onnx.AttributeProto.Types;
using static Siglip.Core.Onnx.TensorProto.Types;

namespace Siglip.Core.Onnx;

/// <summary>A graph that grows node by node. Values go by their names.</summary>
internal sealed class OnnxGraph
{
    private readonly List<OnnxInitializer> _initializers = [];

    /// <summary>Inputs, outputs and nodes; without the initializers.</summary>
    public GraphProto Proto { get; } = new() { Name = "siglip" };

    public IReadOnlyList<OnnxInitializer> Initializers => _initializers;

    /// <summary>Adds a node with one output.</summary>
    /// <param name="type">The operator.</param>
    /// <param name="name">Of the node, and of its output.</param>
    /// <param name="inputs">Names of values.</param>
    /// <param name="attributes">Of the operator.</param>
    /// <returns><paramref name="name"/>.</returns>
    public string Node(string type, string name, string[] inputs, params IEnumerable<AttributeProto> attributes)
    {
        Proto.Node.Add(new NodeProto { OpType = type, Name = name, Input = { inputs }, Output = { name }, Attribute = { attributes } });
        return name;
    }

    /// <summary>Adds a node with several outputs, of the given names.</summary>
    public void Node(string type, string name, string[] inputs, string[] outputs, params IEnumerable<AttributeProto> attributes) =>
        Proto.Node.Add(new NodeProto { OpType = type, Name = name, Input = { inputs }, Output = { outputs }, Attribute = { attributes } });

    /// <summary>Adds a constant.</summary>
    /// <returns>Its name.</returns>
    public string Add(OnnxInitializer initializer)
    {
        _initializers.Add(initializer);
        return initializer.Name;
    }

    /// <summary>Adds a vector of whole numbers, such as a shape.</summary>
    public string Int64s(string name, params long[] values) => Numbers(name, DataType.Int64, [values.Length], values);

    /// <summary>Adds a single number.</summary>
    public string Int64(string name, long value) => Numbers(name, DataType.Int64, [], [value]);

    /// <inheritdoc cref="Int64"/>
    public string Float(string name, float value) => Numbers(name, DataType.Float, [], [value]);

    /// <inheritdoc cref="Int64"/>
    public string Double(string name, double value) => Numbers(name, DataType.Double, [], [value]);

    /// <summary>Adds a vector of numbers.</summary>
    public string Doubles(string name, double[] values) => Numbers(name, DataType.Double, [values.Length], values);

    /// <summary>Declares what the graph takes.</summary>
    /// <param name="name">Of the value.</param>
    /// <param name="type">Of its numbers.</param>
    /// <param name="dimensions">Numbers, or names of what is known only when the graph runs.</param>
    /// <returns>The name.</returns>
    public string Input(string name, DataType type, params object[] dimensions)
    {
        Proto.Input.Add(Value(name, type, dimensions));
        return name;
    }

    /// <summary>Declares what the graph gives; a node with an output of that name must exist.</summary>
    /// <inheritdoc cref="Input"/>
    public void Output(string name, DataType type, params object[] dimensions) => Proto.Output.Add(Value(name, type, dimensions));

    public static AttributeProto Int(string name, long value) => new() { Name = name, I = value, Type = AttributeType.Int };

    public static AttributeProto Ints(string name, params long[] values) => new() { Name = name, Ints = { values }, Type = AttributeType.Ints };

    public static AttributeProto Number(string name, float value) => new() { Name = name, F = value, Type = AttributeType.Float };

    public static AttributeProto Text(string name, string value) => new() { Name = name, S = ByteString.CopyFromUtf8(value), Type = AttributeType.String };

    private string Numbers<T>(string name, DataType type, long[] shape, T[] values)
        where T : unmanaged =>
        Add(new OnnxInitializer(name, type, shape, stream => stream.Write(MemoryMarshal.AsBytes<T>(values))));

    private static ValueInfoProto Value(string name, DataType type, object[] dimensions) => new()
    {
        Name = name,
        Type = new TypeProto
        {
            TensorType = new TypeProto.Types.Tensor
            {
                ElemType = type,
                Shape = new TensorShapeProto
                {
                    Dim =
                    {
                        dimensions.Select(dimension => dimension is string symbol
                            ? new TensorShapeProto.Types.Dimension { DimParam = symbol }
                            : new TensorShapeProto.Types.Dimension { DimValue = Convert.ToInt64(dimension, null) }),
                    },
                },
            },
        },
    };
}
