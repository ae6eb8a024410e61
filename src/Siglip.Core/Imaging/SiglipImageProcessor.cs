namespace Siglip.Core;

/// <summary>Makes pixel values of images, the same to the last bit as transformers' SiglipImageProcessor with Pillow.</summary>
public sealed class SiglipImageProcessor
{
    /// <summary>Creates a processor.</summary>
    /// <param name="config">What it does.</param>
    /// <exception cref="ArgumentException">A value of the configuration is out of range.</exception>
    public SiglipImageProcessor(SiglipImageProcessorConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        Config = config;
    }

    /// <summary>What this processor does.</summary>
    public SiglipImageProcessorConfig Config { get; }

    /// <summary>Number of pixel values of one image: 3 × height × width.</summary>
    public int PixelValueCount => 3 * Config.Height * Config.Width;

    /// <summary>Resizes, rescales and normalizes one image.</summary>
    /// <param name="image">RGB, 8 bits per channel, at least 1 x 1 pixel.</param>
    /// <param name="destination">Receives pixel values [3, height, width], row-major; in [-1, 1] with the default mean and std.</param>
    /// <exception cref="ArgumentException">The destination's length is not <see cref="PixelValueCount"/>.</exception>
    public void Preprocess(RgbImage image, Span<float> destination)
    {
        ArgumentNullException.ThrowIfNull(image);
        if (destination.Length != PixelValueCount)
            throw new ArgumentException($"The destination has {destination.Length} values, expected {PixelValueCount}.", nameof(destination));
        int plane = Config.Height * Config.Width;
        ReadOnlySpan<byte> data = image.Data;
        for (int i = 0; i < data.Length; i++)
            destination[(i % 3 * plane) + (i / 3)] = (((float)(data[i] * Config.RescaleFactor)) - Config.ImageMean[i % 3]) / Config.ImageStd[i % 3];
    }
}
