using System.Globalization;

namespace Siglip.Core;

/// <summary>Makes patches of images, the same to the last bit as transformers' Siglip2ImageProcessor with Pillow or with torchvision.</summary>
/// <remarks>
/// Sources: transformers, image_processing_siglip2.py, image_processing_pil_siglip2.py and image_processing_backends.py; resampling as by
/// <see cref="ImageResizer"/>. Unchangeable, so any number of threads may share it.
/// </remarks>
public sealed class Siglip2ImageProcessor
{
    private const int Channels = PixelValueTable.Channels;

    private readonly PixelValueTable _table;

    /// <summary>Creates a processor.</summary>
    /// <param name="config">What it does.</param>
    /// <param name="backend">Whose numbers it gives.</param>
    /// <exception cref="ArgumentNullException"><paramref name="config"/> is null.</exception>
    /// <exception cref="ArgumentException">A value of the configuration is out of range, or there is no such backend.</exception>
    public Siglip2ImageProcessor(Siglip2ImageProcessorConfig config, SiglipImageBackend backend = SiglipImageBackend.Pillow)
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        (Config, Backend) = (config, backend);
        _table = new PixelValueTable(config, backend);
    }

    /// <summary>What this processor does.</summary>
    public Siglip2ImageProcessorConfig Config { get; }

    /// <summary>Whose numbers it gives.</summary>
    public SiglipImageBackend Backend { get; }

    /// <summary>Number of pixel values of one image with its padding: the most patches × patch height × patch width × 3.</summary>
    public int PixelValueCount => Config.MaxNumPatches * ValuesPerPatch;

    private int ValuesPerPatch => Config.PatchSize * Config.PatchSize * Channels;

    /// <summary>The patches that an image gets: as many as allowed, and as near to its aspect ratio as whole patches are.</summary>
    /// <param name="height">The image's height in pixels, at least 1.</param>
    /// <param name="width">The image's width in pixels, at least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A side is below 1 or above <see cref="RgbImage.MaxSide"/>.</exception>
    /// <exception cref="ArgumentException"><see cref="SiglipImageProcessorConfigBase.DoResize"/> is false, and the image is no grid of whole patches or has
    /// too many.</exception>
    public SiglipPatchGrid GetPatchGrid(int height, int width)
    {
        CheckSide(height, nameof(height));
        CheckSide(width, nameof(width));
        if (!Config.DoResize)
            return GridWithoutResizing(height, width);

        // Bisection with the bounds and the precision of transformers: another search could end at another grid.
        const double Precision = 1e-5;
        double low = Precision / 10, high = 100;
        while (high - low >= Precision)
        {
            double scale = (low + high) / 2;
            if ((long)Patches(height, scale) * Patches(width, scale) <= Config.MaxNumPatches)
                low = scale;
            else
                high = scale;
        }

        return new SiglipPatchGrid(Patches(height, low), Patches(width, low));
    }

    /// <summary>Resizes, rescales and normalizes one image, as far as the configuration asks for it, and divides it into patches.</summary>
    /// <param name="image">RGB, 8 bits per channel (0 to 255), at least 1 x 1 pixel.</param>
    /// <param name="destination">Receives pixel values [<see cref="Siglip2ImageProcessorConfig.MaxNumPatches"/>, patch height, patch width, 3]: patches in
    /// row-major order, then zeros.</param>
    /// <returns>The image's patches; the first <see cref="SiglipPatchGrid.Count"/> of the destination are theirs, the others padding.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="image"/> is null.</exception>
    /// <exception cref="ArgumentException">The destination's length is not <see cref="PixelValueCount"/>; or
    /// <see cref="SiglipImageProcessorConfigBase.DoResize"/> is false, and the image is no grid of whole patches or has too many.</exception>
    public SiglipPatchGrid Preprocess(RgbImage image, Span<float> destination)
    {
        ArgumentNullException.ThrowIfNull(image);
        using var rows = new ImageRows(image);
        return Preprocess(rows, destination);
    }

    /// <inheritdoc cref="Preprocess(RgbImage, Span{float})"/>
    /// <exception cref="InvalidDataException">The pixels are damaged.</exception>
    internal SiglipPatchGrid Preprocess(PixelRows image, Span<float> destination)
    {
        if (destination.Length != PixelValueCount)
        {
            throw new ArgumentException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"The destination has room for {destination.Length:N0} values, expected {PixelValueCount:N0} ({Config.MaxNumPatches} patches x "
                    + $"{Config.PatchSize} x {Config.PatchSize} x {Channels})."),
                nameof(destination));
        }

        RgbImage resized = Resize(image, out SiglipPatchGrid grid);
        int size = Config.PatchSize;
        ReadOnlySpan<byte> data = resized.Data; // [height, width, channels]
        ReadOnlySpan<float> red = _table[0], green = _table[1], blue = _table[2];
        for (int y = 0; y < resized.Height; y++)
        {
            for (int column = 0; column < grid.Columns; column++)
            {
                ReadOnlySpan<byte> from = data.Slice(((y * resized.Width) + (column * size)) * Channels, size * Channels);
                int patch = (y / size * grid.Columns) + column;
                Span<float> to = destination.Slice((patch * ValuesPerPatch) + (y % size * size * Channels), size * Channels); // a row of the patch
                for (int i = 0; i < to.Length; i += Channels)
                {
                    to[i] = red[from[i]];
                    to[i + 1] = green[from[i + 1]];
                    to[i + 2] = blue[from[i + 2]];
                }
            }
        }

        destination[(grid.Count * ValuesPerPatch)..].Clear();
        return grid;
    }

    /// <summary>The image as it is divided into patches.</summary>
    /// <param name="image">None of its rows may have been handed out.</param>
    /// <param name="grid">The patches.</param>
    /// <inheritdoc cref="Preprocess(PixelRows, Span{float})"/>
    internal RgbImage Resize(PixelRows image, out SiglipPatchGrid grid)
    {
        grid = GetPatchGrid(image.FullSize.Height, image.FullSize.Width);

        // The sides of a row of many patches may be longer than those of an image file; the configuration bounds the number of pixels.
        return ImageResizer.Resize(image, grid.Columns * Config.PatchSize, grid.Rows * Config.PatchSize, Config.Resample, Backend, ResizerCodes.Fastest);
    }

    /// <summary>Checks that the patches are those that a model expects.</summary>
    /// <exception cref="ArgumentException">They are not.</exception>
    internal static void CheckFit(Siglip2ImageProcessorConfig config, Siglip2VisionConfig model)
    {
        if (config.PatchSize != model.PatchSize)
            throw new ArgumentException($"The preprocessing makes patches of {config.PatchSize} x {config.PatchSize} pixels, the model expects "
                + $"{model.PatchSize} x {model.PatchSize}. Use the preprocessor_config.json that belongs to the model.");
        if (model.NumChannels != Channels)
            throw new ArgumentException(PixelValueTable.OtherChannels(model.NumChannels));
    }

    private static void CheckSide(int side, string name)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(side, 1, name);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(side, RgbImage.MaxSide, name);
    }

    private int Patches(int side, double scale) => Math.Max(1, (int)Math.Ceiling(side * scale / Config.PatchSize));

    private SiglipPatchGrid GridWithoutResizing(int height, int width)
    {
        var grid = new SiglipPatchGrid(height / Config.PatchSize, width / Config.PatchSize);
        bool isWhole = grid.Rows * Config.PatchSize == height && grid.Columns * Config.PatchSize == width;
        return isWhole && (long)grid.Rows * grid.Columns <= Config.MaxNumPatches
            ? grid
            : throw new ArgumentException($"The image has {width} x {height} pixels (width x height), expected sides that are multiples of "
                + $"{Config.PatchSize}, with at most {Config.MaxNumPatches} patches, because do_resize is false. Resize the image first, or set do_resize to true.");
    }
}
