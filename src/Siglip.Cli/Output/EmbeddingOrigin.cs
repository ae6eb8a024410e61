using System.Reflection;
using System.Text.Json.Nodes;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary>Says what embeddings were made with, so that they are compared only with others that were made alike.</summary>
internal static class EmbeddingOrigin
{
    public const string VersionKey = "siglip.library_version";

    /// <summary>The model, its weights and all settings that decide the numbers; and the library's version.</summary>
    /// <returns>Names that begin with <c>siglip.</c>, and texts.</returns>
    public static IReadOnlyDictionary<string, string> Of(SiglipCheckpoint checkpoint, SiglipImageEmbedder embedder, SiglipImageEmbedderOptions options)
    {
        var origin = new Dictionary<string, string>
        {
            // Without the path of a folder, which says nothing elsewhere.
            ["siglip.model"] = checkpoint.Snapshot?.Model ?? Path.GetFileName(checkpoint.Source),
            ["siglip.weights_sha256"] = checkpoint.ComputeSha256(),
            ["siglip.output_kind"] = CommonOptions.NameOf(embedder.Output),
            ["siglip.normalized"] = Text(options.Normalize),
            ["siglip.precision"] = Text(options.Precision ?? SiglipPrecision.Float32),
            ["siglip.image_backend"] = Text(options.ImageBackend),
            ["siglip.preprocessing"] = JsonNode.Parse(embedder.ProcessorConfig.ToJson())!.ToJsonString(),
            ["siglip.interpolate_pos_encoding"] = Text(options.InterpolatePositionEncoding),
            ["siglip.apply_exif_orientation"] = Text(options.ApplyExifOrientation),
            ["siglip.fast_decode"] = Text(options.FastDecode),
            [VersionKey] = typeof(SiglipCheckpoint).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion,
        };
        if (checkpoint.Snapshot is { } snapshot)
            origin["siglip.revision"] = snapshot.Commit;
        return origin;
    }

    private static string Text(object value) => $"{value}".ToLowerInvariant();
}
