namespace Siglip.Core;

/// <summary>How an image is divided into patches.</summary>
/// <param name="Rows">Number of patches from top to bottom.</param>
/// <param name="Columns">Number of patches from left to right.</param>
public readonly record struct SiglipPatchGrid(int Rows, int Columns)
{
    /// <summary>Number of patches.</summary>
    public int Count => Rows * Columns;
}
