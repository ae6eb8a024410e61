namespace Siglip.Core;

/// <summary>A number for each patch of an image, to be looked at as a heat map.</summary>
public sealed class SiglipPatchMap
{
    private const int Side = 512; // of pictures, about
    private const double Opacity = 0.6; // of colours over an image

    private readonly float[] _values;

    /// <summary>Wraps numbers; they are not copied.</summary>
    /// <param name="grid">The patches; at least one.</param>
    /// <param name="values">[rows, columns], row-major; finite.</param>
    /// <exception cref="ArgumentException">There is no patch, the number of values is another one, or one of them is not finite.</exception>
    public SiglipPatchMap(SiglipPatchGrid grid, float[] values)
    {
        ArgumentNullException.ThrowIfNull(values);
        if (grid.Rows < 1 || grid.Columns < 1)
            throw new ArgumentException($"The grid has {grid.Rows} x {grid.Columns} patches, expected at least 1 x 1.", nameof(grid));
        if (values.Length != grid.Count)
            throw new ArgumentException($"There are {values.Length} values for {grid.Rows} x {grid.Columns} patches, expected {grid.Count}.", nameof(values));
        if (!values.All(float.IsFinite))
            throw new ArgumentException("A value is no finite number (NaN or infinity).", nameof(values));
        (Grid, _values) = (grid, values);
        (Min, Max) = (values.Min(), values.Max());
    }

    /// <summary>The patches.</summary>
    public SiglipPatchGrid Grid { get; }

    /// <summary>The numbers [rows, columns], row-major.</summary>
    public ReadOnlySpan<float> Values => _values;

    /// <summary>The lowest number.</summary>
    public float Min { get; }

    /// <summary>The highest number.</summary>
    public float Max { get; }

    /// <summary>The number of one patch.</summary>
    /// <param name="row">From 0, at the top.</param>
    /// <param name="column">From 0, at the left.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such patch.</exception>
    public float this[int row, int column] => _values[Grid.IndexOf(row, column)];

    /// <summary>Draws a square for each patch: dark blue for the lowest number, yellow for the highest.</summary>
    /// <returns>A picture of about 512 pixels.</returns>
    public RgbImage Draw() => Draw(Math.Max(1, Side / Math.Max(Grid.Rows, Grid.Columns)));

    /// <inheritdoc cref="Draw()"/>
    /// <param name="patchSide">Pixels of a side of a patch.</param>
    internal RgbImage Draw(int patchSide) => PictureSize.Enlarge(Colours(), patchSide, patchSide);

    /// <summary>Draws the numbers as colours over the image, which is grey: dark blue for the lowest number, yellow for the highest.</summary>
    /// <param name="image">The image that the patches divide, such as <see cref="SiglipExplanation.Image"/>; any size.</param>
    /// <returns>A picture of about 512 pixels; small images are enlarged without smoothing.</returns>
    public RgbImage DrawOver(RgbImage image) => DrawOver(image, Side);

    /// <inheritdoc cref="DrawOver(RgbImage)"/>
    /// <param name="image">The image.</param>
    /// <param name="side">The longer side of the picture, in pixels; that of an image that is enlarged is at most this.</param>
    internal RgbImage DrawOver(RgbImage image, int side)
    {
        ArgumentNullException.ThrowIfNull(image);
        RgbImage sized = PictureSize.Fit(image, side);
        ReadOnlySpan<byte> colours = Colours().Data, from = sized.Data;
        byte[] to = new byte[from.Length];
        for (int y = 0, i = 0; y < sized.Height; y++)
        {
            int row = (int)((long)y * Grid.Rows / sized.Height);
            for (int x = 0; x < sized.Width; x++, i += 3)
            {
                int patch = (row * Grid.Columns) + (int)((long)x * Grid.Columns / sized.Width);
                double grey = (0.299 * from[i]) + (0.587 * from[i + 1]) + (0.114 * from[i + 2]); // luma of ITU-R BT.601
                for (int channel = 0; channel < 3; channel++)
                    to[i + channel] = (byte)Math.Round(((1 - Opacity) * grey) + (Opacity * colours[(3 * patch) + channel]));
            }
        }

        return new RgbImage(sized.Width, sized.Height, to);
    }

    // A pixel for each patch.
    private RgbImage Colours()
    {
        byte[] pixels = new byte[3 * _values.Length];
        for (int i = 0; i < _values.Length; i++)
            (pixels[3 * i], pixels[(3 * i) + 1], pixels[(3 * i) + 2]) = Viridis.Of(Max > Min ? ((double)_values[i] - Min) / ((double)Max - Min) : 0);
        return new RgbImage(Grid.Columns, Grid.Rows, pixels);
    }
}
