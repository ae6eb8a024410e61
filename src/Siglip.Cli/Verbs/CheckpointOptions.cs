using System.CommandLine;
using System.Globalization;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary>The options that say which version of a checkpoint computes, and how. A verb adds those that it has.</summary>
internal sealed class CheckpointOptions
{
    public CheckpointOptions()
    {
        Precision.Precision();
        ImageBackend.OneOf("pillow", "torchvision");
        ImageSize.Expect(text => ParseSize(text) is not null, $"S or HEIGHTxWIDTH in pixels, such as 384 or 256x512, with sides from 1 to {SiglipImageProcessorConfig.MaxSide}"
            + $" and at most {RgbImage.MaxPixels} pixels in all");
        MaxNumPatches.Within(1, Siglip2ImageProcessorConfig.MaxPatches);
    }

    public Option<string?> Revision { get; } = CommonOptions.Revision();

    public Option<string?> Precision { get; } = new("--precision")
    {
        Description = "What the model computes in: float32 (the default), bfloat16, float16, or int8 (matrix products of 8-bit integers, on the CPU). Results are float32.",
    };

    public Option<string?> ImageBackend { get; } = new("--image-backend")
    {
        Description = "Whose arithmetic turns images into pixel values: pillow (the default), as in transformers 4, or torchvision, as by default in transformers 5.",
    };

    public Option<string?> ImageSize { get; } = new("--image-size")
    {
        Description = "S or HEIGHTxWIDTH: resize images to this instead of the checkpoint's size; needs --interpolate-pos-encoding. Not for NaFlex.",
    };

    public Option<bool> InterpolatePositionEncoding { get; } = new("--interpolate-pos-encoding")
    {
        Description = "Accept images of other sizes than the model's, and interpolate its position embeddings. Not for NaFlex, which always does.",
    };

    public Option<int?> MaxNumPatches { get; } = new("--max-num-patches")
    {
        Description = "NaFlex only: the most patches of an image, instead of the checkpoint's number.",
    };

    public Option<bool> ApplyExifOrientation { get; } = new("--apply-exif-orientation") { Description = "Turn photos as their EXIF data say." };

    public Option<bool> FastDecode { get; } = new("--fast-decode")
    {
        Description = "Let the codec reduce large JPEG images while it decodes them: faster, with embeddings that differ a little.",
    };

    /// <summary>What the command line says; the default for options that the verb does not have.</summary>
    public CheckpointSettings Read(ParseResult parsed) => new()
    {
        Revision = parsed.GetValue(Revision),
        Precision = CommonOptions.PrecisionOf(parsed.GetValue(Precision)),
        ImageBackend = parsed.GetValue(ImageBackend) is { } backend ? Enum.Parse<SiglipImageBackend>(backend, ignoreCase: true) : null,
        ImageSize = ParseSize(parsed.GetValue(ImageSize)),
        InterpolatePositionEncoding = parsed.GetValue(InterpolatePositionEncoding),
        MaxNumPatches = parsed.GetValue(MaxNumPatches),
        ApplyExifOrientation = parsed.GetValue(ApplyExifOrientation),
        FastDecode = parsed.GetValue(FastDecode),
    };

    private static (int Height, int Width)? ParseSize(string? text)
    {
        string[] sides = text?.Split('x') ?? [];
        return sides.Length is 1 or 2
            && int.TryParse(sides[0], NumberStyles.None, CultureInfo.InvariantCulture, out int height)
            && int.TryParse(sides[^1], NumberStyles.None, CultureInfo.InvariantCulture, out int width)
            && height is > 0 and <= SiglipImageProcessorConfig.MaxSide && width is > 0 and <= SiglipImageProcessorConfig.MaxSide
            && (long)height * width <= RgbImage.MaxPixels
                ? (height, width)
                : null;
    }
}
