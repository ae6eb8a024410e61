using SkiaSharp;

namespace Siglip.Core;

/// <summary>Pictures of the same size beside and below each other.</summary>
internal static class Mosaic
{
    private static readonly SKColor Ink = new(0x40, 0x40, 0x40);

    /// <summary>Draws tiles row by row.</summary>
    /// <param name="tiles">At least one; all of the same size.</param>
    /// <param name="columns">Tiles in a row, at least 1.</param>
    /// <param name="gap">Pixels between tiles.</param>
    public static RgbImage Draw(IReadOnlyList<RgbImage> tiles, int columns, int gap)
    {
        (int rows, int width, int height) = Size(tiles, columns);
        using var canvas = new Canvas((columns * (width + gap)) - gap, (rows * (height + gap)) - gap);
        for (int i = 0; i < tiles.Count; i++)
            canvas.Draw(tiles[i], i % columns * (width + gap), i / columns * (height + gap));
        return canvas.ToImage();
    }

    /// <summary>Draws tiles row by row, with the numbers of the columns, from 0, above them, and those of the rows at the left.</summary>
    /// <inheritdoc cref="Draw"/>
    public static RgbImage DrawNumbered(IReadOnlyList<RgbImage> tiles, int columns, int gap)
    {
        const int DigitSize = 2, Padding = 6;
        (int rows, int width, int height) = Size(tiles, columns);
        int left = Canvas.WidthOf(rows - 1, DigitSize) + (2 * Padding), top = Canvas.HeightOf(DigitSize) + (2 * Padding);
        using var canvas = new Canvas(left + (columns * (width + gap)), top + (rows * (height + gap)));
        for (int column = 0; column < columns; column++)
            canvas.CentredNumber(column, left + (column * (width + gap)) + (width / 2), top / 2, DigitSize, Ink);
        for (int row = 0; row < rows; row++)
            canvas.CentredNumber(row, left / 2, top + (row * (height + gap)) + (height / 2), DigitSize, Ink);
        for (int i = 0; i < tiles.Count; i++)
            canvas.Draw(tiles[i], left + (i % columns * (width + gap)), top + (i / columns * (height + gap)));
        return canvas.ToImage();
    }

    private static (int Rows, int Width, int Height) Size(IReadOnlyList<RgbImage> tiles, int columns) =>
        ((tiles.Count + columns - 1) / columns, tiles[0].Width, tiles[0].Height);
}
