using System.Text.Json;
using System.Text.Json.Nodes;

namespace Siglip.Core;

/// <summary>How an image becomes the pixel values of a model with fixed resolution, as in <c>preprocessor_config.json</c>. Defaults are those of SigLIP
/// at 224 pixels.</summary>
/// <remarks>Source: transformers, image_processing_siglip.py.</remarks>
public sealed record SiglipImageProcessorConfig : SiglipImageProcessorConfigBase
{
    internal const int MaxSide = 16_384;

    /// <summary>Creates the preprocessing of google/siglip-base-patch16-224.</summary>
    public SiglipImageProcessorConfig()
    {
    }

    private SiglipImageProcessorConfig(JsonFields fields, int height, int width) : base(fields, ImageResampling.Bicubic) => (Height, Width) = (height, width);

    /// <summary>Height after resizing, in pixels (<c>size.height</c>). From 1 to 16,384, and at most <see cref="RgbImage.MaxPixels"/> pixels with the width; the default is 224.</summary>
    public int Height { get; init; } = 224;

    /// <summary>Width after resizing, in pixels (<c>size.width</c>). From 1 to 16,384, and at most <see cref="RgbImage.MaxPixels"/> pixels with the height; the default is 224.</summary>
    public int Width { get; init; } = 224;

    /// <summary>Reads a <c>preprocessor_config.json</c>.</summary>
    /// <param name="json">The text of the file.</param>
    /// <param name="source">What error messages call it, such as the file's path.</param>
    /// <exception cref="InvalidDataException">The text is not JSON, a field has the wrong type or an impossible value, or it belongs to a model with
    /// variable resolution (NaFlex).</exception>
    public static SiglipImageProcessorConfig FromJson(string json, string source = "preprocessor_config.json")
    {
        using JsonDocument document = Parse(json, source, "Siglip2ImageProcessor", "that of a model with variable resolution (NaFlex), expected "
            + "SiglipImageProcessor; use the preprocessor_config.json that belongs to the model.");
        var fields = new JsonFields(document.RootElement, source);
        if (fields.Find("size") is null && fields.Find("max_num_patches") is not null)
            throw new InvalidDataException($"{source} has max_num_patches and no size, which is for a model with variable resolution (NaFlex); use the "
                + "preprocessor_config.json that belongs to the model.");
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

        var config = new SiglipImageProcessorConfig(fields, height, width);
        return config.Fault is { } fault ? throw new InvalidDataException($"{source}: {fault}") : config;
    }

    internal override string ProcessorType => "SiglipImageProcessor";

    /// <summary>Checks that the images have a model's size.</summary>
    /// <exception cref="ArgumentException">They do not.</exception>
    internal void CheckSize(SiglipVisionConfig model)
    {
        if (Height != model.ImageSize || Width != model.ImageSize)
            throw new ArgumentException($"The preprocessing makes images of {Height} x {Width} pixels, the model expects "
                + $"{model.ImageSize} x {model.ImageSize}. Use the preprocessor_config.json that belongs to the model.");
    }

    private protected override string? SizeFault =>
        Height is < 1 or > MaxSide || Width is < 1 or > MaxSide ? $"size is {Height} x {Width}, expected sides from 1 to {MaxSide}."
        : (long)Height * Width > RgbImage.MaxPixels ? $"size is {Height} x {Width}, expected at most {RgbImage.MaxPixels} pixels in all."
        : null;

    private protected override JsonObject ToJsonObject()
    {
        JsonObject json = base.ToJsonObject();
        json["size"] = new JsonObject { ["height"] = Height, ["width"] = Width };
        return json;
    }
}
