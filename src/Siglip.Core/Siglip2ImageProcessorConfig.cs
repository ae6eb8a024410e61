using System.Text.Json;
using System.Text.Json.Nodes;

namespace Siglip.Core;

/// <summary>How an image becomes the patches of a model with variable resolution (NaFlex), as in <c>preprocessor_config.json</c>. Defaults are those of
/// google/siglip2-base-patch16-naflex.</summary>
/// <remarks>Source: transformers, image_processing_siglip2.py.</remarks>
public sealed record Siglip2ImageProcessorConfig : SiglipImageProcessorConfigBase
{
    internal const int MaxPatches = 65_536; // 256 x 256
    private const int MaxPatchSize = 1_024;

    /// <summary>Creates the preprocessing of google/siglip2-base-patch16-naflex.</summary>
    public Siglip2ImageProcessorConfig() => Resample = ImageResampling.Bilinear;

    private Siglip2ImageProcessorConfig(JsonFields fields) : base(fields, ImageResampling.Bilinear)
    {
        PatchSize = fields.Int32("patch_size", PatchSize);
        MaxNumPatches = fields.Int32("max_num_patches", MaxNumPatches);
    }

    /// <summary>Height and width of a patch in pixels (<c>patch_size</c>). At least 1; the default is 16.</summary>
    public int PatchSize { get; init; } = 16;

    /// <summary>The most patches of an image (<c>max_num_patches</c>): it is resized, up or down and keeping its aspect ratio as well as whole patches
    /// allow, to a grid of as many as possible. From 1 to 65,536; the default is 256.</summary>
    public int MaxNumPatches { get; init; } = 256;

    /// <summary>Reads a <c>preprocessor_config.json</c>.</summary>
    /// <param name="json">The text of the file.</param>
    /// <param name="source">What error messages call it, such as the file's path.</param>
    /// <exception cref="InvalidDataException">The text is not JSON, a field has the wrong type or an impossible value, or it belongs to a model with
    /// fixed resolution.</exception>
    public static Siglip2ImageProcessorConfig FromJson(string json, string source = "preprocessor_config.json")
    {
        using JsonDocument document = Parse(json, source, "SiglipImageProcessor", "that of a model with fixed resolution, expected "
            + "Siglip2ImageProcessor; use the preprocessor_config.json that belongs to the model.");
        var fields = new JsonFields(document.RootElement, source);
        if (fields.Find("max_num_patches") is null && fields.Find("size") is not null)
            throw new InvalidDataException($"{source} has size and no max_num_patches, which is for a model with fixed resolution; use the "
                + "preprocessor_config.json that belongs to the model.");
        var config = new Siglip2ImageProcessorConfig(fields);
        return config.Fault is { } fault ? throw new InvalidDataException($"{source}: {fault}") : config;
    }

    internal override string ProcessorType => "Siglip2ImageProcessor";

    private protected override string? SizeFault =>
        PatchSize is < 1 or > MaxPatchSize ? $"patch_size is {PatchSize}, expected a whole number from 1 to {MaxPatchSize}."
        : MaxNumPatches is < 1 or > MaxPatches ? $"max_num_patches is {MaxNumPatches}, expected a whole number from 1 to {MaxPatches}."
        : (long)MaxNumPatches * PatchSize * PatchSize * 3 > Array.MaxLength
            ? $"max_num_patches {MaxNumPatches} and patch_size {PatchSize} make more pixel values than one array holds; lower one of them."
        : null;

    private protected override JsonObject ToJsonObject()
    {
        JsonObject json = base.ToJsonObject();
        json["max_num_patches"] = MaxNumPatches;
        json["patch_size"] = PatchSize;
        return json;
    }
}
