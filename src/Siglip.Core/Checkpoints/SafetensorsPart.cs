using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>A tensor that is to be written: its bytes are produced when their turn comes, so that only one tensor is converted at a time.</summary>
internal sealed record SafetensorsPart(string Name, ScalarType Dtype, IReadOnlyList<long> Shape, Action<Stream> WriteBytes);
