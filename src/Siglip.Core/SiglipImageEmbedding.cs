namespace Siglip.Core;

/// <summary>One image's embedding, in a sequence of images.</summary>
/// <param name="Index">The image's position in the input, from 0.</param>
/// <param name="Values">[hidden], or [patches, hidden] row-major, with as many patches as the image has; NaN if there is an error.</param>
/// <param name="PatchGrid">The image's patches; 0 x 0 if there is an error.</param>
/// <param name="Error">Why the image could not be read; null if it could.</param>
public sealed record SiglipImageEmbedding(long Index, float[] Values, SiglipPatchGrid PatchGrid, Exception? Error);
