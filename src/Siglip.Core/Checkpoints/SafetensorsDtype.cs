using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The types of values that safetensors and torch both have.</summary>
internal static class SafetensorsDtype
{
    // In the order in which the safetensors library lays tensors out, so that each one is aligned to its own size.
    private static readonly (string Name, ScalarType Dtype, int Size)[] Known =
    [
        ("I64", ScalarType.Int64, 8),
        ("F64", ScalarType.Float64, 8),
        ("F32", ScalarType.Float32, 4),
        ("I32", ScalarType.Int32, 4),
        ("BF16", ScalarType.BFloat16, 2),
        ("F16", ScalarType.Float16, 2),
        ("I16", ScalarType.Int16, 2),
        ("I8", ScalarType.Int8, 1),
        ("U8", ScalarType.Byte, 1),
        ("BOOL", ScalarType.Bool, 1),
    ];

    public static string AllNames => string.Join(", ", Known.Select(known => known.Name));

    public static ScalarType? Find(string name)
    {
        foreach ((string known, ScalarType dtype, _) in Known)
        {
            if (known == name)
                return dtype;
        }

        return null;
    }

    /// <summary>Whether a type has 8 bits or fewer for a fraction, with a scale elsewhere (F8_E4M3, F8_E5M2, F4, …).</summary>
    public static bool IsQuantized(string name) => name is ['F', '4' or '6' or '8'] or ['F', '4' or '6' or '8', '_', ..];

    public static bool Contains(ScalarType dtype) => Array.Exists(Known, known => known.Dtype == dtype);

    public static string Name(ScalarType dtype) => Known[Order(dtype)].Name;

    public static int Size(ScalarType dtype) => Known[Order(dtype)].Size;

    public static int Order(ScalarType dtype) => Array.FindIndex(Known, known => known.Dtype == dtype);
}
