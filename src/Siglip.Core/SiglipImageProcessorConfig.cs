using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Siglip.Core;

/// <summary>How an image becomes pixel values, as in <c>preprocessor_config.json</c>. Defaults are those of SigLIP at 224 pixels.</summary>
/// <remarks>Source: transformers, image_processing_siglip.py.</remarks>
public sealed record SiglipImageProcessorConfig
{
    internal static readonly JsonSerializerOptions Indented = new()
    {
        WriteIndented = true,
        NewLine = "\n",
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Whether images are resized to <see cref="Height"/> × <see cref="Width"/> (<c>do_resize</c>). The default is true.</summary>
    public bool DoResize { get; init; } = true;

    /// <summary>Height after resizing, in pixels (<c>size.height</c>). At least 1; the default is 224.</summary>
    public int Height { get; init; } = 224;

    /// <summary>Width after resizing, in pixels (<c>size.width</c>). At least 1; the default is 224.</summary>
    public int Width { get; init; } = 224;

    /// <summary>The filter of the resizing (<c>resample</c>). The default is <see cref="ImageResampling.Bicubic"/>.</summary>
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

    /// <summary>Reads a <c>preprocessor_config.json</c>.</summary>
    /// <param name="json">The text of the file.</param>
    /// <param name="source">What error messages call it, such as the file's path.</param>
    /// <exception cref="InvalidDataException">The text is not JSON, or a field has the wrong type or an impossible value.</exception>
    public static SiglipImageProcessorConfig FromJson(string json, string source = "preprocessor_config.json")
    {
        ArgumentNullException.ThrowIfNull(json);
        using JsonDocument document = JsonFields.Parse(json, source);
        var fields = new JsonFields(document.RootElement, source);
        var absent = new SiglipImageProcessorConfig();

        int height = absent.Height, width = absent.Width;
        if (fields.Find("size") is { ValueKind: JsonValueKind.Number })
        {
            height = width = fields.Int32("size", 0); // older files state one number for both
        }
        else if (fields.Find("size") is { } size)
        {
            var sides = new JsonFields(size, $"{source}, size");
            if (size.ValueKind != JsonValueKind.Object || sides.Find("height") is null || sides.Find("width") is null)
                throw new InvalidDataException($"{source}: 'size' is {size.GetRawText()}, expected an object with height and width.");
            (height, width) = (sides.Int32("height", 0), sides.Int32("width", 0));
        }

        var config = new SiglipImageProcessorConfig
        {
            DoResize = fields.Boolean("do_resize", absent.DoResize),
            Height = height,
            Width = width,
            Resample = (ImageResampling)fields.Int32("resample", (int)absent.Resample),
            DoRescale = fields.Boolean("do_rescale", absent.DoRescale),
            RescaleFactor = fields.Double("rescale_factor", absent.RescaleFactor),
            DoNormalize = fields.Boolean("do_normalize", absent.DoNormalize),
            ImageMean = fields.Singles("image_mean", [.. absent.ImageMean]),
            ImageStd = fields.Singles("image_std", [.. absent.ImageStd]),
        };
        return config.Fault is { } fault ? throw new InvalidDataException($"{source}: {fault}") : config;
    }

    /// <summary>Writes the <c>preprocessor_config.json</c> of a SiglipImageProcessor.</summary>
    public string ToJson() => new JsonObject
    {
        ["do_convert_rgb"] = true,
        ["do_normalize"] = DoNormalize,
        ["do_rescale"] = DoRescale,
        ["do_resize"] = DoResize,
        ["image_mean"] = new JsonArray([.. ImageMean.Select(mean => JsonValue.Create(mean))]),
        ["image_processor_type"] = "SiglipImageProcessor",
        ["image_std"] = new JsonArray([.. ImageStd.Select(std => JsonValue.Create(std))]),
        ["resample"] = (int)Resample,
        ["rescale_factor"] = RescaleFactor,
        ["size"] = new JsonObject { ["height"] = Height, ["width"] = Width },
    }.ToJsonString(Indented);

    /// <summary>Checks that the values are possible.</summary>
    /// <exception cref="ArgumentException">A value is out of range.</exception>
    public void Validate()
    {
        if (Fault is { } fault)
            throw new ArgumentException(fault);
    }

    /// <inheritdoc/>
    public bool Equals(SiglipImageProcessorConfig? other) =>
        other is not null
        && (DoResize, Height, Width, Resample, DoRescale, DoNormalize)
            == (other.DoResize, other.Height, other.Width, other.Resample, other.DoRescale, other.DoNormalize)
        && RescaleFactor.Equals(other.RescaleFactor) && ImageMean.SequenceEqual(other.ImageMean) && ImageStd.SequenceEqual(other.ImageStd);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(DoResize, Height, Width, Resample, DoRescale, RescaleFactor, DoNormalize);

    /// <summary>Checks that the images have a model's size.</summary>
    /// <exception cref="ArgumentException">They do not.</exception>
    internal void CheckSize(SiglipVisionConfig model)
    {
        if (Height != model.ImageSize || Width != model.ImageSize)
            throw new ArgumentException($"The preprocessing makes images of {Height} x {Width} pixels, the model expects "
                + $"{model.ImageSize} x {model.ImageSize}. Use the preprocessor_config.json that belongs to the model.");
    }

    private const int MaxSide = 16_384;

    private string? Fault =>
        Height is < 1 or > MaxSide || Width is < 1 or > MaxSide ? $"size is {Height} x {Width}, expected sides from 1 to {MaxSide}."
        : Resample is not (ImageResampling.Bilinear or ImageResampling.Bicubic)
            ? $"resample is {(int)Resample}, expected 2 (bilinear) or 3 (bicubic)."
        : !double.IsFinite(RescaleFactor) ? string.Create(CultureInfo.InvariantCulture, $"rescale_factor is {RescaleFactor}, expected a finite number.")
        : ImageMean.Count != 3 || !ImageMean.All(float.IsFinite) ? "image_mean is not three finite numbers, one for each of red, green and blue."
        : ImageStd.Count != 3 || !ImageStd.All(std => float.IsFinite(std) && std != 0)
            ? "image_std is not three finite numbers other than 0, one for each of red, green and blue."
        : null;
}
