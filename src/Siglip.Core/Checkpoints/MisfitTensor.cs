using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>A stored tensor that has not the shape or the type that the configuration asks for.</summary>
/// <param name="Name">As stored.</param>
/// <param name="Stored">What it is.</param>
/// <param name="ExpectedShape">What it should be.</param>
/// <param name="Reason">Follows the expected shape in messages, such as " for patch size 16".</param>
internal sealed record MisfitTensor(string Name, SafetensorsEntry Stored, IReadOnlyList<long> ExpectedShape, string Reason)
{
    public bool HasExpectedShape => Stored.Shape.SequenceEqual(ExpectedShape);

    /// <summary>A sentence without its end.</summary>
    public override string ToString() => HasExpectedShape
        ? $"'{Name}' has dtype {SafetensorsDtype.Name(Stored.Dtype)}, expected F32, F16 or BF16"
        : $"'{Name}' has shape [{string.Join(", ", Stored.Shape)}], expected [{string.Join(", ", ExpectedShape)}]{Reason}";

    public static bool IsReadable(ScalarType dtype) => dtype is ScalarType.Float32 or ScalarType.Float16 or ScalarType.BFloat16;
}
