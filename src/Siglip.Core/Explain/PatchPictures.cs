using SkiaSharp;

namespace Siglip.Core;

/// <summary>Pictures of an image's patches.</summary>
internal static class PatchPictures
{
    private const int Side = 512; // of pictures, about
    private const int SmallestPatch = 40; // in pixels, so that a number is legible in it

    private static readonly SKColor Ink = new(0x40, 0x40, 0x40);
    private static readonly SKColor LabelColour = new(0, 0, 0, 0x90);
    private static readonly SKColor LightLine = new(255, 255, 255, 0xc0), DarkLine = new(0, 0, 0, 0x80); // side by side, one of which shows on any image

    /// <summary>The image with lines between the patches and a number in each; their rows and columns at the edges.</summary>
    public static RgbImage DrawGrid(RgbImage image, SiglipPatchGrid grid)
    {
        const int EdgeDigits = 3, Digits = 2, Padding = 8;
        int factor = FactorFor(image, grid), patch = image.Width / grid.Columns * factor;
        int edge = Canvas.HeightOf(EdgeDigits) + (2 * Padding), left = Canvas.WidthOf(grid.Rows - 1, EdgeDigits) + (2 * Padding);
        using var canvas = new Canvas(left + (image.Width * factor), edge + (image.Height * factor));
        canvas.Draw(PictureSize.Enlarge(image, factor, factor), left, edge);
        for (int column = 0; column < grid.Columns; column++)
            canvas.CentredNumber(column, left + (column * patch) + (patch / 2), edge / 2, EdgeDigits, Ink);
        for (int row = 0; row < grid.Rows; row++)
            canvas.CentredNumber(row, left / 2, edge + (row * patch) + (patch / 2), EdgeDigits, Ink);

        for (int column = 1; column < grid.Columns; column++)
        {
            canvas.Fill(left + (column * patch) - 1, edge, 1, image.Height * factor, LightLine);
            canvas.Fill(left + (column * patch), edge, 1, image.Height * factor, DarkLine);
        }

        for (int row = 1; row < grid.Rows; row++)
        {
            canvas.Fill(left, edge + (row * patch) - 1, image.Width * factor, 1, LightLine);
            canvas.Fill(left, edge + (row * patch), image.Width * factor, 1, DarkLine);
        }

        for (int i = 0; i < grid.Count; i++)
            canvas.Label(i, left + (i % grid.Columns * patch), edge + (i / grid.Columns * patch), Digits, LabelColour);
        return canvas.ToImage();
    }

    /// <summary>The patches one after the other, line by line, each with its number below.</summary>
    public static RgbImage DrawSequence(RgbImage image, SiglipPatchGrid grid)
    {
        const int Gap = 6, Width = 900;
        int size = image.Width / grid.Columns, factor = Math.Max(1, (grid.Count <= 64 ? 48 : 32) / size), tile = size * factor;
        int digits = tile >= 40 ? 2 : 1;
        int columns = Math.Clamp((Width + Gap) / (tile + Gap), 1, grid.Count), rows = (grid.Count + columns - 1) / columns;
        int lineHeight = tile + Canvas.HeightOf(digits) + (3 * Gap);
        using var canvas = new Canvas((columns * (tile + Gap)) + Gap, (rows * lineHeight) + Gap);
        for (int i = 0; i < grid.Count; i++)
        {
            int x = (i % columns * (tile + Gap)) + Gap, y = (i / columns * lineHeight) + Gap;
            RgbImage patch = PictureSize.Crop(image, i % grid.Columns * size, i / grid.Columns * size, size, size);
            canvas.Draw(PictureSize.Enlarge(patch, factor, factor), x, y);
            canvas.CentredNumber(i, x + (tile / 2), y + tile + Gap + (Canvas.HeightOf(digits) / 2), digits, Ink);
        }

        return canvas.ToImage();
    }

    /// <summary>The first three principal components of embeddings as red, green and blue.</summary>
    /// <param name="embeddings">[patches, hidden].</param>
    /// <param name="hiddenSize">Numbers of an embedding.</param>
    /// <param name="grid">The patches.</param>
    /// <param name="image">As large as which the picture is.</param>
    public static RgbImage DrawComponents(float[] embeddings, int hiddenSize, SiglipPatchGrid grid, RgbImage image)
    {
        float[] projections = PrincipalComponents.Of(embeddings, hiddenSize, 3).Projections; // [patches, 3]
        byte[] pixels = new byte[projections.Length];
        for (int channel = 0; channel < 3; channel++)
        {
            float[] values = [.. projections.Where((_, i) => i % 3 == channel)];
            float low = values.Min(), high = values.Max();
            for (int i = 0; i < values.Length; i++)
                pixels[(3 * i) + channel] = high > low ? (byte)Math.Round(255 * (values[i] - low) / (high - low)) : (byte)128;
        }

        int side = image.Width / grid.Columns * PictureSize.FactorFor(image, Side);
        return PictureSize.Enlarge(new RgbImage(grid.Columns, grid.Rows, pixels), side, side);
    }

    private static int FactorFor(RgbImage image, SiglipPatchGrid grid)
    {
        int patch = image.Width / grid.Columns;
        return Math.Max(PictureSize.FactorFor(image, Side), (SmallestPatch + patch - 1) / patch);
    }
}
