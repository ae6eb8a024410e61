using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Where a tensor lies in a safetensors file.</summary>
/// <param name="Dtype">The stored type of its values.</param>
/// <param name="Shape">Its sizes, outermost first; empty for a single value.</param>
/// <param name="Offset">Its first byte, counted from the beginning of the file.</param>
/// <param name="Length">Its number of bytes.</param>
public sealed record SafetensorsEntry(ScalarType Dtype, IReadOnlyList<long> Shape, long Offset, long Length);
