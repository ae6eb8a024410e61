using TorchSharp.Modules;

namespace Siglip.Core;

/// <summary>What a <see cref="SiglipEncoderLayer"/> is made of.</summary>
internal sealed record EncoderLayerParts(
    LayerNorm LayerNorm1, Linear Query, Linear Key, Linear Value, Linear Output, LayerNorm LayerNorm2, Linear Expand, Linear Contract);
