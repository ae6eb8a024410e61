namespace Siglip.Core;

/// <summary>How an image is divided into patches.</summary>
/// <param name="Rows">Number of patches from top to bottom.</param>
/// <param name="Columns">Number of patches from left to right.</param>
public readonly record struct SiglipPatchGrid(int Rows, int Columns)
{
    /// <summary>Number of patches.</summary>
    public int Count => Rows * Columns;

    /// <summary>The place of a patch in the sequence that the model sees.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such patch.</exception>
    internal int IndexOf(int row, int column) => row >= 0 && row < Rows && column >= 0 && column < Columns
        ? (row * Columns) + column
        : throw new ArgumentOutOfRangeException($"The patch {row},{column} (row, column) does not exist; rows are 0 to {Rows - 1}, columns 0 to {Columns - 1}.", innerException: null);
}
