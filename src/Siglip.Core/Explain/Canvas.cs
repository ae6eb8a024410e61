using SkiaSharp;

namespace Siglip.Core;

/// <summary>A picture while it is drawn. Its only text are numbers, in a type of its own, so that no font is needed.</summary>
internal sealed class Canvas : IDisposable
{
    private const int DigitWidth = 3, DigitHeight = 5;

    // Of each digit five rows of three points, the first one in the highest bit.
    private static readonly int[] Digits =
    [
        0b111_101_101_101_111, 0b010_110_010_010_111, 0b111_001_111_100_111, 0b111_001_111_001_111, 0b101_101_111_001_001,
        0b111_100_111_001_111, 0b111_100_111_101_111, 0b111_001_010_010_010, 0b111_101_111_101_111, 0b111_101_111_001_111,
    ];

    private readonly SKBitmap _bitmap;
    private readonly SKCanvas _canvas;

    /// <summary>Starts with a white picture.</summary>
    public Canvas(int width, int height)
    {
        _bitmap = SkiaPixels.NewBitmap(width, height);
        _canvas = new SKCanvas(_bitmap);
        _canvas.Clear(SKColors.White);
    }

    /// <summary>Width of a number with digits of that size, in pixels.</summary>
    public static int WidthOf(int number, int size) => (((DigitWidth + 1) * Text(number).Length) - 1) * size;

    public static int HeightOf(int size) => DigitHeight * size;

    /// <summary>Draws an image, pixel for pixel.</summary>
    public void Draw(RgbImage image, int x, int y)
    {
        using SKBitmap bitmap = SkiaPixels.ToBitmap(image);
        _canvas.DrawBitmap(bitmap, x, y);
    }

    public void Fill(float x, float y, float width, float height, SKColor colour)
    {
        using var paint = new SKPaint { Color = colour };
        _canvas.DrawRect(x, y, width, height, paint);
    }

    /// <summary>Draws a frame whose outer edge is the rectangle.</summary>
    public void Frame(int x, int y, int width, int height, int thickness, SKColor colour)
    {
        Fill(x, y, width, thickness, colour);
        Fill(x, y + height - thickness, width, thickness, colour);
        Fill(x, y, thickness, height, colour);
        Fill(x + width - thickness, y, thickness, height, colour);
    }

    public void Line(float fromX, float fromY, float toX, float toY, float thickness, SKColor colour)
    {
        using var paint = new SKPaint { Color = colour, StrokeWidth = thickness, IsAntialias = true, StrokeCap = SKStrokeCap.Round };
        _canvas.DrawLine(fromX, fromY, toX, toY, paint);
    }

    public void Disc(float x, float y, float radius, SKColor colour)
    {
        using var paint = new SKPaint { Color = colour, IsAntialias = true };
        _canvas.DrawCircle(x, y, radius, paint);
    }

    /// <summary>Writes a number.</summary>
    /// <param name="number">At least 0.</param>
    /// <param name="x">Its left edge.</param>
    /// <param name="y">Its upper edge.</param>
    /// <param name="size">Pixels of a point; a digit is three points wide and five high.</param>
    /// <param name="colour">Of the digits.</param>
    public void Number(int number, int x, int y, int size, SKColor colour)
    {
        foreach (char digit in Text(number))
        {
            int points = Digits[digit - '0'];
            for (int i = 0; i < DigitWidth * DigitHeight; i++)
            {
                if ((points >> ((DigitWidth * DigitHeight) - 1 - i) & 1) != 0)
                    Fill(x + (i % DigitWidth * size), y + (i / DigitWidth * size), size, size, colour);
            }

            x += (DigitWidth + 1) * size;
        }
    }

    /// <summary>Writes a number centred on a point.</summary>
    /// <inheritdoc cref="Number"/>
    public void CentredNumber(int number, int x, int y, int size, SKColor colour) =>
        Number(number, x - (WidthOf(number, size) / 2), y - (HeightOf(size) / 2), size, colour);

    /// <summary>Writes a white number on a dark label.</summary>
    /// <inheritdoc cref="Number"/>
    public void Label(int number, int x, int y, int size, SKColor background)
    {
        Fill(x, y, WidthOf(number, size) + (2 * size), HeightOf(size) + (2 * size), background);
        Number(number, x + size, y + size, size, SKColors.White);
    }

    public RgbImage ToImage() => SkiaPixels.ToImage(_bitmap);

    public void Dispose()
    {
        _canvas.Dispose();
        _bitmap.Dispose();
    }

    private static string Text(int number) => number.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
