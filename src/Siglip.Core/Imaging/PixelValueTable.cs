using System.Globalization;

namespace Siglip.Core;

/// <summary>The pixel value of every grey level in every channel: rescaled and normalized with the bits of transformers.</summary>
internal sealed class PixelValueTable
{
    public const int Channels = 3;
    public const int GreyLevels = 256;

    private readonly float[] _values = new float[Channels * GreyLevels]; // [channels, grey levels]

    /// <exception cref="ArgumentException">There is no such backend, or torchvision's would have to divide by 0.</exception>
    public PixelValueTable(SiglipImageProcessorConfigBase config, SiglipImageBackend backend)
    {
        if (!Enum.IsDefined(backend))
            throw new ArgumentOutOfRangeException(nameof(backend), backend, "Expected Pillow (0) or Torchvision (1).");
        if (backend == SiglipImageBackend.Torchvision && config is { DoRescale: true, DoNormalize: true } && !float.IsFinite((float)(1 / config.RescaleFactor)))
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture,
                $"rescale_factor is {config.RescaleFactor}, by which torchvision divides; use another one, or the Pillow backend."));
        for (int i = 0; i < _values.Length; i++)
        {
            (int greyLevel, int channel) = (i % GreyLevels, i / GreyLevels);
            _values[i] = backend == SiglipImageBackend.Torchvision ? OfTorchvision(config, greyLevel, channel) : OfNumPy(config, greyLevel, channel);
        }
    }

    /// <summary>All values, by channel and grey level.</summary>
    public ReadOnlyMemory<float> All => _values;

    /// <summary>One channel's values, by grey level.</summary>
    public ReadOnlySpan<float> this[int channel] => _values.AsSpan(channel * GreyLevels, GreyLevels);

    // Same types in the same order as transformers with NumPy: rescaling in float64, stored as float32, then normalizing in float32.
    private static float OfNumPy(SiglipImageProcessorConfigBase config, int greyLevel, int channel)
    {
        float value = config.DoRescale ? (float)(greyLevel * config.RescaleFactor) : greyLevel;
        return config.DoNormalize ? (value - config.ImageMean[channel]) / config.ImageStd[channel] : value;
    }

    // Everything in float32, and both steps in one: mean and standard deviation are scaled up to grey levels (_fuse_mean_std_and_rescale_factor).
    private static float OfTorchvision(SiglipImageProcessorConfigBase config, int greyLevel, int channel)
    {
        if (!config.DoNormalize)
            return config.DoRescale ? greyLevel * (float)config.RescaleFactor : greyLevel;
        float scale = config.DoRescale ? (float)(1 / config.RescaleFactor) : 1;
        return (greyLevel - (config.ImageMean[channel] * scale)) / (config.ImageStd[channel] * scale);
    }

    /// <summary>Why images are nothing for a model with another number of channels.</summary>
    public static string OtherChannels(int channels) =>
        $"The model expects images with {channels} {(channels == 1 ? "channel" : "channels")}, but image files are read as RGB, {Channels} channels. Only "
        + "pixel values of your own can go through it, with its Forward.";
}
