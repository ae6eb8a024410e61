namespace Siglip.Core;

/// <summary>How far a download is.</summary>
/// <param name="Bytes">Bytes that are there, with those of an earlier attempt.</param>
/// <param name="TotalBytes">Bytes of all files that were missing.</param>
public readonly record struct HuggingFaceProgress(long Bytes, long TotalBytes);
