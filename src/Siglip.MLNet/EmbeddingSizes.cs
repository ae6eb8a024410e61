namespace Siglip.MLNet;

/// <summary>The dimensions of the patch embeddings: what the output columns' types follow from.</summary>
/// <param name="PatchCount">Number of patches; the most, if images differ.</param>
/// <param name="HiddenSize">Length of each embedding.</param>
internal readonly record struct EmbeddingSizes(int PatchCount, int HiddenSize);
