using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Onnx;

/// <summary>A constant of a graph, whose bytes are made when they are written: never more than one large one is in memory.</summary>
/// <param name="Name">Unique in the graph.</param>
/// <param name="Type">Of its values.</param>
/// <param name="Shape">Empty for a single number.</param>
/// <param name="Write">Writes exactly <see cref="Length"/> bytes, little-endian, row-major.</param>
internal sealed record OnnxInitializer(string Name, TensorProto.Types.DataType Type, IReadOnlyList<long> Shape, Action<Stream> Write)
{
    /// <summary>Number of bytes.</summary>
    public long Length => Shape.Aggregate(SizeOf(Type), (product, size) => product * size);

    /// <summary>A constant from a tensor.</summary>
    /// <param name="name">Unique in the graph.</param>
    /// <param name="type">The type that the tensor will have.</param>
    /// <param name="shape">The shape that the tensor will have.</param>
    /// <param name="make">Gives the tensor, on the CPU; what it allocates is freed after each call.</param>
    public static OnnxInitializer OfTensor(string name, TensorProto.Types.DataType type, IReadOnlyList<long> shape, Func<Tensor> make) =>
        new(name, type, shape, stream =>
        {
            using var noGradients = no_grad();
            using DisposeScope scope = NewDisposeScope();
            foreach ((_, Tensor part) in SafetensorsFile.Parts(make().contiguous()))
                stream.Write(part.bytes);
        });

    /// <summary>The message that describes it, without its bytes.</summary>
    public TensorProto ToProto() => new() { Name = Name, DataType = Type, Dims = { Shape } };

    private static long SizeOf(TensorProto.Types.DataType type) => type switch
    {
        TensorProto.Types.DataType.Double or TensorProto.Types.DataType.Int64 => 8,
        TensorProto.Types.DataType.Float or TensorProto.Types.DataType.Int32 => 4,
        _ => 1,
    };
}
