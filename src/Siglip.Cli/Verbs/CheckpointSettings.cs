using Siglip.Core;

namespace Siglip.Cli;

/// <summary>Which version of a checkpoint is to compute, and how: the values of <see cref="CheckpointOptions"/>.</summary>
internal sealed record CheckpointSettings
{
    /// <summary>Of a model of the Hugging Face hub; null unless given.</summary>
    public string? Revision { get; init; }

    /// <summary>Null unless given.</summary>
    public SiglipPrecision? Precision { get; init; }

    /// <summary>Null unless given.</summary>
    public SiglipImageBackend? ImageBackend { get; init; }

    /// <summary>In pixels; null unless given.</summary>
    public (int Height, int Width)? ImageSize { get; init; }

    public bool InterpolatePositionEncoding { get; init; }

    /// <summary>Null unless given.</summary>
    public int? MaxNumPatches { get; init; }

    public bool ApplyExifOrientation { get; init; }

    public bool FastDecode { get; init; }

    /// <summary>Checks, in the words of the command line, that the options are for this kind of model.</summary>
    /// <exception cref="ArgumentException">One is not.</exception>
    public void CheckFit(SiglipVisionConfigBase config)
    {
        if (config is Siglip2VisionConfig && ImageSize is not null)
            throw new ArgumentException("--image-size is for models with fixed resolution, this one has variable resolution (NaFlex); use --max-num-patches.");
        if (config is Siglip2VisionConfig && InterpolatePositionEncoding)
            throw new ArgumentException("--interpolate-pos-encoding is for models with fixed resolution, this one has variable resolution (NaFlex) and does so "
                + "in any case; leave it out.");
        if (config is not SiglipVisionConfig { ImageSize: int side })
            return;
        if (MaxNumPatches is not null)
            throw new ArgumentException("--max-num-patches is for models with variable resolution (NaFlex), this one has fixed resolution; use --image-size "
                + "with --interpolate-pos-encoding.");
        if (ImageSize is var (height, width) && (height, width) != (side, side) && !InterpolatePositionEncoding)
            throw new ArgumentException($"--image-size is {height}x{width} (height x width), the model's images have {side}x{side} pixels; add "
                + "--interpolate-pos-encoding for another size.");
    }

    /// <summary>Checks that nothing is asked of a saved ML.NET model, which computes as it was trained.</summary>
    /// <exception cref="ArgumentException">Something is.</exception>
    public void CheckNone(string model)
    {
        string? given = Revision is not null ? "--revision"
            : Precision is not null ? "--precision"
            : ImageBackend is not null ? "--image-backend"
            : ImageSize is not null ? "--image-size"
            : InterpolatePositionEncoding ? "--interpolate-pos-encoding"
            : MaxNumPatches is not null ? "--max-num-patches"
            : ApplyExifOrientation ? "--apply-exif-orientation"
            : null;
        if (given is not null)
            throw new ArgumentException($"{given} is for checkpoints, and '{model}' is a saved ML.NET model, which computes as it was trained; leave the "
                + "option out, or train another model with it.");
    }

    /// <summary>A message of the library in the words of the command line.</summary>
    public static string InOptionNames(string message) => message
        .Replace("ImageHeight and ImageWidth", "--image-size", StringComparison.Ordinal)
        .Replace("--image-size ask for", "--image-size asks for", StringComparison.Ordinal)
        .Replace("MaxNumPatches", "--max-num-patches", StringComparison.Ordinal)
        .Replace("set InterpolatePositionEncoding", "add --interpolate-pos-encoding", StringComparison.Ordinal)
        .Replace("(MeanPatchEmbedding)", "(--output-kind mean)", StringComparison.Ordinal)
        .Replace("(PatchEmbeddings)", "(--output-kind patches)", StringComparison.Ordinal);

    public SiglipImageEmbedderOptions ToEmbedderOptions() => new()
    {
        Precision = Precision ?? SiglipPrecision.Float32,
        ImageBackend = ImageBackend ?? SiglipImageBackend.Pillow,
        ImageHeight = ImageSize?.Height,
        ImageWidth = ImageSize?.Width,
        InterpolatePositionEncoding = InterpolatePositionEncoding,
        MaxNumPatches = MaxNumPatches,
        ApplyExifOrientation = ApplyExifOrientation,
        FastDecode = FastDecode,
    };
}
