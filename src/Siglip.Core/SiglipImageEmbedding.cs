namespace Siglip.Core;

/// <summary>One image's embedding, in a sequence of images.</summary>
/// <param name="Index">The image's position in the input, from 0.</param>
/// <param name="Values">[hidden], or [patches, hidden] row-major.</param>
public sealed record SiglipImageEmbedding(long Index, float[] Values);
