namespace Siglip.Core;

/// <summary>The pixel value of every grey level in every channel: rescaled and normalized with the bits of transformers.</summary>
internal sealed class PixelValueTable
{
    public const int Channels = 3;
    private const int GreyLevels = 256;

    private readonly float[] _values = new float[Channels * GreyLevels]; // [channels, grey levels]

    public PixelValueTable(SiglipImageProcessorConfigBase config)
    {
        for (int i = 0; i < _values.Length; i++)
            _values[i] = PixelValue(config, i % GreyLevels, i / GreyLevels);
    }

    /// <summary>One channel's values, by grey level.</summary>
    public ReadOnlySpan<float> this[int channel] => _values.AsSpan(channel * GreyLevels, GreyLevels);

    // Same types in the same order as transformers with NumPy: rescaling in float64, stored as float32, then normalizing in float32.
    private static float PixelValue(SiglipImageProcessorConfigBase config, int greyLevel, int channel)
    {
        float value = config.DoRescale ? (float)(greyLevel * config.RescaleFactor) : greyLevel;
        return config.DoNormalize ? (value - config.ImageMean[channel]) / config.ImageStd[channel] : value;
    }

    /// <summary>Why images are nothing for a model with another number of channels.</summary>
    public static string OtherChannels(int channels) =>
        $"The model expects images with {channels} {(channels == 1 ? "channel" : "channels")}, but image files are read as RGB, {Channels} channels. Only "
        + "pixel values of your own can go through it, with its Forward.";
}
