using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Siglip.Core;

/// <summary>What all SigLIP preprocessing has in common, as in <c>preprocessor_config.json</c>: <see cref="SiglipImageProcessorConfig"/> adds the size
/// of images for models with fixed resolution, <see cref="Siglip2ImageProcessorConfig"/> the patches for those with variable resolution (NaFlex).</summary>
public abstract record SiglipImageProcessorConfigBase
{
    internal static readonly JsonSerializerOptions Indented = new()
    {
        WriteIndented = true,
        NewLine = "\n",
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private protected SiglipImageProcessorConfigBase()
    {
    }

    /// <summary>Whether images are resized (<c>do_resize</c>). The default is true.</summary>
    public bool DoResize { get; init; } = true;

    /// <summary>The filter of the resizing (<c>resample</c>). The default is <see cref="ImageResampling.Bicubic"/> for models with fixed resolution,
    /// <see cref="ImageResampling.Bilinear"/> for those with variable resolution.</summary>
    public ImageResampling Resample { get; init; } = ImageResampling.Bicubic;

    /// <summary>Whether grey levels are multiplied by <see cref="RescaleFactor"/> (<c>do_rescale</c>). The default is true.</summary>
    public bool DoRescale { get; init; } = true;

    /// <summary>Factor for grey levels (<c>rescale_factor</c>). The default is 1/255.</summary>
    public double RescaleFactor { get; init; } = 1 / 255.0;

    /// <summary>Whether the mean is subtracted and the result divided by the standard deviation (<c>do_normalize</c>). The default is true.</summary>
    public bool DoNormalize { get; init; } = true;

    /// <summary>Mean of the red, green and blue channel (<c>image_mean</c>). The default is 0.5 each.</summary>
    public IReadOnlyList<float> ImageMean { get; init => field = [.. value]; } = [0.5f, 0.5f, 0.5f];

    /// <summary>Standard deviation of the red, green and blue channel (<c>image_std</c>). Not 0; the default is 0.5 each.</summary>
    public IReadOnlyList<float> ImageStd { get; init => field = [.. value]; } = [0.5f, 0.5f, 0.5f];

    /// <summary>Writes the <c>preprocessor_config.json</c>.</summary>
    public string ToJson() => ToJsonObject().ToJsonString(Indented);

    /// <summary>Checks that the values are possible.</summary>
    /// <exception cref="ArgumentException">A value is out of range.</exception>
    public void Validate()
    {
        if (Fault is { } fault)
            throw new ArgumentException(fault);
    }

    /// <inheritdoc/>
    public virtual bool Equals(SiglipImageProcessorConfigBase? other) =>
        other is not null && EqualityContract == other.EqualityContract
        && (DoResize, Resample, DoRescale, DoNormalize) == (other.DoResize, other.Resample, other.DoRescale, other.DoNormalize)
        && RescaleFactor.Equals(other.RescaleFactor) && ImageMean.SequenceEqual(other.ImageMean) && ImageStd.SequenceEqual(other.ImageStd);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(EqualityContract, DoResize, Resample, DoRescale, RescaleFactor, DoNormalize);

    /// <summary>Reads the configuration that belongs to a kind of model.</summary>
    internal static SiglipImageProcessorConfigBase FromJson(string json, string source, SiglipVisionConfigBase model) => model is Siglip2VisionConfig
        ? Siglip2ImageProcessorConfig.FromJson(json, source)
        : SiglipImageProcessorConfig.FromJson(json, source);

    /// <summary>Takes the values of a JSON object.</summary>
    private protected SiglipImageProcessorConfigBase(JsonFields fields, ImageResampling absentResample)
    {
        DoResize = fields.Boolean("do_resize", DoResize);
        Resample = (ImageResampling)fields.Int32("resample", (int)absentResample);
        DoRescale = fields.Boolean("do_rescale", DoRescale);
        RescaleFactor = fields.Double("rescale_factor", RescaleFactor);
        DoNormalize = fields.Boolean("do_normalize", DoNormalize);
        ImageMean = fields.Singles("image_mean", [.. ImageMean]);
        ImageStd = fields.Singles("image_std", [.. ImageStd]);
    }

    /// <summary>The class's name in transformers, such as SiglipImageProcessor.</summary>
    internal abstract string ProcessorType { get; }

    /// <summary>What is wrong with the values; null if nothing is.</summary>
    internal string? Fault =>
        SizeFault
        ?? (Resample is not (ImageResampling.Bilinear or ImageResampling.Bicubic)
            ? $"resample is {(int)Resample}, expected 2 (bilinear) or 3 (bicubic)."
        : !double.IsFinite(RescaleFactor) ? string.Create(CultureInfo.InvariantCulture, $"rescale_factor is {RescaleFactor}, expected a finite number.")
        : ImageMean.Count != 3 || !ImageMean.All(float.IsFinite) ? "image_mean is not three finite numbers, one for each of red, green and blue."
        : ImageStd.Count != 3 || !ImageStd.All(std => float.IsFinite(std) && std != 0)
            ? "image_std is not three finite numbers other than 0, one for each of red, green and blue."
        : null);

    /// <summary>What is wrong with the sizes; null if nothing is.</summary>
    private protected abstract string? SizeFault { get; }

    private protected virtual JsonObject ToJsonObject() => new()
    {
        ["do_convert_rgb"] = true,
        ["do_normalize"] = DoNormalize,
        ["do_rescale"] = DoRescale,
        ["do_resize"] = DoResize,
        ["image_mean"] = new JsonArray([.. ImageMean.Select(mean => JsonValue.Create(mean))]),
        ["image_processor_type"] = ProcessorType,
        ["image_std"] = new JsonArray([.. ImageStd.Select(std => JsonValue.Create(std))]),
        ["resample"] = (int)Resample,
        ["rescale_factor"] = RescaleFactor,
    };

    /// <summary>Parses a file, unless it says that it is for the other kind of model.</summary>
    private protected static JsonDocument Parse(string json, string source, string otherType, string advice)
    {
        ArgumentNullException.ThrowIfNull(json);
        JsonDocument document = JsonFields.Parse(json, source);
        try
        {
            var fields = new JsonFields(document.RootElement, source);
            string? type = fields.String("image_processor_type", null);
            if (type?.StartsWith(otherType, StringComparison.Ordinal) == true) // also …Fast
                throw new InvalidDataException($"{source}: image_processor_type is '{type}', {advice}");
            if (fields.Boolean("do_center_crop", false))
                throw new InvalidDataException($"{source}: do_center_crop is true, but SigLIP's preprocessing crops nothing; use the preprocessor_config.json "
                    + "that belongs to the model.");
            return document;
        }
        catch
        {
            document.Dispose();
            throw;
        }
    }
}
