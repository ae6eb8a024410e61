using System.Globalization;
using System.Text.Json.Nodes;

namespace Siglip.Core;

/// <summary>The sizes of a SigLIP 2 vision transformer with variable resolution (NaFlex), as in <c>config.json</c> (<c>model_type</c> siglip2 or
/// siglip2_vision_model). Defaults are those of google/siglip2-base-patch16-naflex.</summary>
/// <remarks>Source: transformers, configuration_siglip2.py, class Siglip2VisionConfig.</remarks>
public sealed record Siglip2VisionConfig : SiglipVisionConfigBase
{
    internal const string ModelTypeName = "siglip2_vision_model";

    /// <summary>Creates the sizes of google/siglip2-base-patch16-naflex.</summary>
    public Siglip2VisionConfig()
    {
    }

    internal Siglip2VisionConfig(JsonFields fields) : base(fields) => NumPatches = fields.Int32("num_patches", NumPatches);

    /// <summary>Number of position embeddings (<c>num_patches</c>), those of a square grid, which is resized to each image's. A square from 1 to
    /// 1,048,576; the default is 256. The number of an image's patches is up to the preprocessing: see
    /// <see cref="Siglip2ImageProcessorConfig.MaxNumPatches"/>.</summary>
    public int NumPatches { get; init; } = 256;

    /// <summary>Reads the <c>config.json</c> of a model with variable resolution; see <see cref="SiglipVisionConfigBase.FromJson"/>.</summary>
    /// <param name="json">The text of the file.</param>
    /// <param name="source">What error messages call it, such as the file's path.</param>
    /// <exception cref="InvalidDataException">The text is not JSON, a field has the wrong type or an impossible value, or the file
    /// describes another kind of model.</exception>
    public static new Siglip2VisionConfig FromJson(string json, string source = "config.json") =>
        SiglipVisionConfigBase.FromJson(json, source) as Siglip2VisionConfig
        ?? throw new InvalidDataException($"{source} describes a model with fixed resolution, expected one with variable resolution (NaFlex), whose "
            + $"model_type is siglip2 or {ModelTypeName}; read it with {nameof(SiglipVisionConfig)}.");

    internal override string Architecture => "Siglip2VisionModel";

    internal override int NumPositions => NumPatches;

    internal override long[] PatchEmbeddingShape => [HiddenSize, ValuesPerPatch];

    /// <summary>Number of values of one patch: height × width × channels.</summary>
    internal long ValuesPerPatch => (long)PatchSize * PatchSize * NumChannels;

    /// <summary>Height and width of the grid of position embeddings.</summary>
    internal int GridSide => (int)Math.Sqrt(NumPatches);

    private protected override string? GridFault =>
        RangeFault("num_patches", NumPatches, 1, MaxGridSide * MaxGridSide)
        ?? (GridSide * GridSide != NumPatches ? $"num_patches is {NumPatches}, expected a square number such as {GridSide * GridSide}." : null)
        ?? ((long)NumPatches * HiddenSize > int.MaxValue // as for models with fixed resolution
            ? string.Create(CultureInfo.InvariantCulture, $"num_patches {NumPatches} and hidden_size {HiddenSize} give {(long)NumPatches * HiddenSize:N0} "
                + $"values, at most {int.MaxValue:N0} are possible; lower num_patches or hidden_size.")
            : null);

    internal override JsonObject ToJsonObject()
    {
        JsonObject json = base.ToJsonObject();
        json["model_type"] = ModelTypeName;
        json["num_patches"] = NumPatches;
        return json;
    }
}
