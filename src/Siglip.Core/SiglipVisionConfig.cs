using System.Globalization;
using System.Text.Json.Nodes;

namespace Siglip.Core;

/// <summary>The sizes of a SigLIP vision transformer with fixed resolution, as in <c>config.json</c> (<c>model_type</c> siglip or siglip_vision_model).
/// Defaults are those of google/siglip-base-patch16-224.</summary>
/// <remarks>Source: transformers, configuration_siglip.py, class SiglipVisionConfig.</remarks>
public sealed record SiglipVisionConfig : SiglipVisionConfigBase
{
    internal const string ModelTypeName = "siglip_vision_model";

    /// <summary>Creates the sizes of google/siglip-base-patch16-224.</summary>
    public SiglipVisionConfig()
    {
    }

    internal SiglipVisionConfig(JsonFields fields) : base(fields) => ImageSize = fields.Int32("image_size", ImageSize);

    /// <summary>Height and width of an image in pixels (<c>image_size</c>). At least <see cref="SiglipVisionConfigBase.PatchSize"/>; the default is
    /// 224.</summary>
    public int ImageSize { get; init; } = 224;

    /// <summary>Number of patches of an image of <see cref="ImageSize"/>: surplus pixels at the right and the bottom are ignored. 0 if the patch
    /// size is not valid.</summary>
    public int NumPatches => PatchSize < 1 ? 0 : ImageSize / PatchSize * (ImageSize / PatchSize);

    /// <summary>Reads the <c>config.json</c> of a model with fixed resolution; see <see cref="SiglipVisionConfigBase.FromJson"/>.</summary>
    /// <param name="json">The text of the file.</param>
    /// <param name="source">What error messages call it, such as the file's path.</param>
    /// <exception cref="InvalidDataException">The text is not JSON, a field has the wrong type or an impossible value, or the file
    /// describes another kind of model.</exception>
    public static new SiglipVisionConfig FromJson(string json, string source = "config.json") =>
        SiglipVisionConfigBase.FromJson(json, source) as SiglipVisionConfig
        ?? throw new InvalidDataException($"{source} describes a model with variable resolution (NaFlex), expected one with fixed resolution; "
            + $"read it with {nameof(Siglip2VisionConfig)}.");

    internal override string Architecture => "SiglipVisionModel";

    internal override int NumPositions => NumPatches;

    internal override long[] PatchEmbeddingShape => [HiddenSize, NumChannels, PatchSize, PatchSize];

    private protected override string? GridFault =>
        RangeFault("image_size", ImageSize, PatchSize, Math.Min(MaxSize, MaxGridSide * PatchSize))
        ?? ((long)NumPatches * HiddenSize > int.MaxValue // one image's patch embeddings are counted in an int
            ? string.Create(CultureInfo.InvariantCulture, $"image_size {ImageSize}, patch_size {PatchSize} and hidden_size {HiddenSize} give "
                + $"{(long)NumPatches * HiddenSize:N0} values for one image, at most {int.MaxValue:N0} are possible; lower image_size or hidden_size.")
            : null);

    internal override JsonObject ToJsonObject()
    {
        JsonObject json = base.ToJsonObject();
        json["model_type"] = ModelTypeName;
        json["image_size"] = ImageSize;
        return json;
    }
}
