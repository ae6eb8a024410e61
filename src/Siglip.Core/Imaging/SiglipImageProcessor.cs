using System.Globalization;

namespace Siglip.Core;

/// <summary>Makes pixel values of images, the same to the last bit as transformers' SiglipImageProcessor with Pillow or with torchvision.</summary>
/// <remarks>
/// Sources: transformers, image_processing_siglip.py, image_processing_pil_siglip.py and image_processing_backends.py; resampling as by
/// <see cref="ImageResizer"/>. Unchangeable, so any number of threads may share it.
/// </remarks>
public sealed class SiglipImageProcessor
{
    private const int Channels = PixelValueTable.Channels;

    private readonly PixelValueTable _table;

    /// <summary>Creates a processor.</summary>
    /// <param name="config">What it does.</param>
    /// <param name="backend">Whose numbers it gives.</param>
    /// <exception cref="ArgumentNullException"><paramref name="config"/> is null.</exception>
    /// <exception cref="ArgumentException">A value of the configuration is out of range, or there is no such backend.</exception>
    public SiglipImageProcessor(SiglipImageProcessorConfig config, SiglipImageBackend backend = SiglipImageBackend.Pillow)
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        (Config, Backend) = (config, backend);
        _table = new PixelValueTable(config, backend);
    }

    /// <summary>What this processor does.</summary>
    public SiglipImageProcessorConfig Config { get; }

    /// <summary>Whose numbers it gives.</summary>
    public SiglipImageBackend Backend { get; }

    /// <summary>Each grey level's pixel values.</summary>
    internal PixelValueTable Table => _table;

    /// <summary>Number of pixel values of one image: 3 × height × width.</summary>
    public int PixelValueCount => Channels * Config.Height * Config.Width;

    /// <summary>Resizes, rescales and normalizes one image, as far as the configuration asks for it.</summary>
    /// <param name="image">RGB, 8 bits per channel (0 to 255), at least 1 x 1 pixel.</param>
    /// <returns>Pixel values [3, height, width], row-major; in [-1, 1] with the default mean and std.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="image"/> is null.</exception>
    /// <exception cref="ArgumentException">
    /// <see cref="SiglipImageProcessorConfigBase.DoResize"/> is false and the image does not have the configured size.
    /// </exception>
    public float[] Preprocess(RgbImage image)
    {
        var pixelValues = new float[PixelValueCount];
        Preprocess(image, pixelValues);
        return pixelValues;
    }

    /// <summary>Resizes, rescales and normalizes one image, as far as the configuration asks for it.</summary>
    /// <param name="image">RGB, 8 bits per channel (0 to 255), at least 1 x 1 pixel.</param>
    /// <param name="destination">Receives pixel values [3, height, width], row-major; in [-1, 1] with the default mean and std.</param>
    /// <exception cref="ArgumentNullException"><paramref name="image"/> is null.</exception>
    /// <exception cref="ArgumentException">
    /// The destination's length is not <see cref="PixelValueCount"/>; or <see cref="SiglipImageProcessorConfigBase.DoResize"/> is false and
    /// the image does not have the configured size.
    /// </exception>
    public void Preprocess(RgbImage image, Span<float> destination)
    {
        ArgumentNullException.ThrowIfNull(image);
        using var rows = new ImageRows(image);
        Preprocess(rows, destination);
    }

    /// <inheritdoc cref="Preprocess(RgbImage, Span{float})"/>
    /// <exception cref="InvalidDataException">The pixels are damaged.</exception>
    internal void Preprocess(PixelRows image, Span<float> destination)
    {
        if (destination.Length != PixelValueCount)
        {
            throw new ArgumentException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"The destination has room for {destination.Length:N0} values, expected {PixelValueCount:N0} (3 x {Config.Height} x {Config.Width})."),
                nameof(destination));
        }

        RgbImage resized = Resize(image);
        LookUp(resized.Data, destination);
    }

    // [height, width, channels] to [channels, height, width]. A byte is never beyond the 256 values of its channel; the loop with checks
    // takes twice as long.
    private unsafe void LookUp(ReadOnlySpan<byte> levels, Span<float> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(levels.Length, destination.Length);
        nint plane = destination.Length / Channels;
        for (int channel = 0; channel < Channels; channel++)
        {
            fixed (byte* from = levels)
            fixed (float* values = _table[channel], to = destination)
            {
                byte* level = from + channel;
                float* pixelValues = to + (channel * plane);
                for (nint i = 0; i < plane; i++, level += Channels)
                    pixelValues[i] = values[*level];
            }
        }
    }

    /// <summary>Checks that the pixel values have the model's size and channels.</summary>
    /// <param name="config">The preprocessing.</param>
    /// <param name="model">The model's sizes.</param>
    /// <param name="anySize">Whether any size of at least one patch fits, because position embeddings are interpolated.</param>
    /// <exception cref="ArgumentException">They do not.</exception>
    internal static void CheckFit(SiglipImageProcessorConfig config, SiglipVisionConfig model, bool anySize = false)
    {
        if (model.NumChannels != Channels)
            throw new ArgumentException(PixelValueTable.OtherChannels(model.NumChannels));
        if (!anySize)
            config.CheckSize(model);
        else if (config.Height < model.PatchSize || config.Width < model.PatchSize)
            throw new ArgumentException($"The preprocessing makes images of {config.Height} x {config.Width} pixels, smaller than the model's patches of "
                + $"{model.PatchSize} x {model.PatchSize}; make them larger.");
    }

    /// <inheritdoc cref="Resize(PixelRows)"/>
    internal RgbImage Resize(RgbImage image)
    {
        using var rows = new ImageRows(image);
        return Resize(rows);
    }

    /// <summary>The image in the configured size.</summary>
    /// <exception cref="ArgumentException">It has another one, and is not to be resized.</exception>
    internal RgbImage Resize(PixelRows image)
    {
        if (Config.DoResize)
            return ImageResizer.Resize(image, Config.Width, Config.Height, Config.Resample, Backend);
        if (image.Width == Config.Width && image.Height == Config.Height)
            return image.ToImage();
        throw new ArgumentException(
            $"The image has {image.Width} x {image.Height} pixels (width x height), expected {Config.Width} x {Config.Height}, because "
            + "do_resize is false. Resize the image first, or set do_resize to true.", nameof(image));
    }
}
