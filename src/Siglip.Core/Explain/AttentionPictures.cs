using SkiaSharp;

namespace Siglip.Core;

/// <summary>Pictures of attention.</summary>
internal static class AttentionPictures
{
    private static readonly SKColor Ink = new(0x40, 0x40, 0x40);
    private static readonly SKColor GridLine = new(0xdc, 0xdc, 0xdc);
    private static readonly SKColor HeadColour = new(0x31, 0x68, 0x8e, 0xa0);
    private static readonly SKColor MeanColour = new(0xd9, 0x5f, 0x02);

    /// <summary>A tile for each layer and head: a map over the image.</summary>
    /// <param name="image">The image.</param>
    /// <param name="layers">Rows of tiles.</param>
    /// <param name="heads">Columns of tiles.</param>
    /// <param name="mapOf">The map of a layer and head.</param>
    /// <param name="patch">The patch that looks, which gets a frame; null for none.</param>
    public static RgbImage DrawHeads(RgbImage image, int layers, int heads, Func<int, int, SiglipPatchMap> mapOf, int? patch)
    {
        const int Width = 960, LargestTile = 192, Gap = 4;
        int side = Math.Clamp(Width / heads, 48, LargestTile);
        var tiles = new List<RgbImage>();
        for (int layer = 0; layer < layers; layer++)
        {
            for (int head = 0; head < heads; head++)
            {
                SiglipPatchMap map = mapOf(layer, head);
                tiles.Add(patch is { } looking ? WithFrame(map.DrawOver(image, side), map.Grid, looking) : map.DrawOver(image, side));
            }
        }

        return Mosaic.DrawNumbered(tiles, heads, Gap);
    }

    /// <summary>Frames a patch.</summary>
    public static RgbImage WithFrame(RgbImage picture, SiglipPatchGrid grid, int patch)
    {
        (int row, int column) = Math.DivRem(patch, grid.Columns);
        int left = column * picture.Width / grid.Columns, top = row * picture.Height / grid.Rows;
        int right = (column + 1) * picture.Width / grid.Columns, bottom = (row + 1) * picture.Height / grid.Rows;
        int thickness = Math.Max(1, (right - left) / 12);
        using var canvas = new Canvas(picture.Width, picture.Height);
        canvas.Draw(picture, 0, 0);
        canvas.Frame(left, top, right - left, bottom - top, thickness, SKColors.Red);
        return canvas.ToImage();
    }

    /// <summary>A point for each head over its layer, at the height of its distance, and a line through the layers' means.</summary>
    /// <param name="distances">[layers][heads], in pixels.</param>
    public static RgbImage DrawDistances(double[][] distances)
    {
        const int Width = 640, Height = 360, Left = 64, Right = 24, Top = 20, Bottom = 44, Digits = 3;
        double step = Step(distances.Max(layer => layer.Max()));
        int steps = Math.Max(1, (int)Math.Ceiling(distances.Max(layer => layer.Max()) / step));
        using var canvas = new Canvas(Width, Height);
        for (int i = 0; i <= steps; i++)
        {
            canvas.Fill(Left, Y(i * step) - 0.5f, Width - Left - Right, 1, GridLine);
            int label = (int)Math.Round(i * step);
            canvas.Number(label, Left - 12 - Canvas.WidthOf(label, Digits), (int)Y(i * step) - (Canvas.HeightOf(Digits) / 2), Digits, Ink);
        }

        canvas.Fill(Left, Y(0) - 0.5f, Width - Left - Right, 1, Ink);
        int every = ((distances.Length - 1) / 16) + 1; // no more numbers than there is room for
        for (int layer = 0; layer < distances.Length; layer++)
        {
            if (layer % every == 0)
                canvas.CentredNumber(layer, (int)X(layer), Height - (Bottom / 2) + 2, Digits, Ink);
            foreach (double distance in distances[layer])
                canvas.Disc(X(layer), Y(distance), 6, HeadColour);
        }

        for (int layer = 1; layer < distances.Length; layer++)
            canvas.Line(X(layer - 1), Y(distances[layer - 1].Average()), X(layer), Y(distances[layer].Average()), 2.5f, MeanColour);
        return canvas.ToImage();

        float X(int layer) => Left + ((Width - Left - Right) * (layer + 0.5f) / distances.Length);

        float Y(double distance) => (float)(Height - Bottom - ((Height - Top - Bottom) * distance / (steps * step)));
    }

    // A whole number of pixels, 1, 2 or 5 times a power of ten, so that there are about five of them.
    private static double Step(double largest)
    {
        double power = Math.Pow(10, Math.Floor(Math.Log10(Math.Max(largest / 5, 1))));
        return power * ((largest / 5 / power) switch { <= 1 => 1, <= 2 => 2, <= 5 => 5, _ => 10 });
    }
}
