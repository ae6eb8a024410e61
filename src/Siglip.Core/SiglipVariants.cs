namespace Siglip.Core;

/// <summary>The published SigLIP and SigLIP 2 checkpoints. No weights are needed to build a model of the same architecture.</summary>
/// <remarks>Sources: big_vision, models/vit.py and the checkpoint table in configs/proj/image_text/README_siglip2.md; transformers,
/// convert_siglip_to_hf.py (sizes, resampling) and convert_siglip2_to_hf.py (NaFlex); mean and standard deviation are the image processors' defaults, 0.5.
/// The parameter counts agree with open_clip's model_profile.csv.</remarks>
public static class SiglipVariants
{
    private const int NearIds = 3;

    private static readonly SiglipVisionConfig Base = new(); // ViT-B
    private static readonly SiglipVisionConfig Large = new() { HiddenSize = 1024, IntermediateSize = 4096, NumHiddenLayers = 24, NumAttentionHeads = 16 };
    private static readonly SiglipVisionConfig So400m = new() { HiddenSize = 1152, IntermediateSize = 4304, NumHiddenLayers = 27, NumAttentionHeads = 16 };
    private static readonly SiglipVisionConfig GiantOpt = new() { HiddenSize = 1536, IntermediateSize = 6144, NumHiddenLayers = 40, NumAttentionHeads = 16 };
    private static readonly Siglip2VisionConfig BaseNaFlex = new();
    private static readonly Siglip2VisionConfig So400mNaFlex = new() { HiddenSize = 1152, IntermediateSize = 4304, NumHiddenLayers = 27, NumAttentionHeads = 16 };

    /// <summary>All of them, by family and size.</summary>
    public static IReadOnlyList<SiglipVariant> All { get; } =
    [
        Siglip("google/siglip-base-patch16-224", Base),
        Siglip("google/siglip-base-patch16-256", Base with { ImageSize = 256 }),
        Siglip("google/siglip-base-patch16-256-multilingual", Base with { ImageSize = 256 }),
        Siglip("google/siglip-base-patch16-384", Base with { ImageSize = 384 }),
        Siglip("google/siglip-base-patch16-512", Base with { ImageSize = 512 }),
        Siglip("google/siglip-large-patch16-256", Large with { ImageSize = 256 }),
        Siglip("google/siglip-large-patch16-384", Large with { ImageSize = 384 }),
        Siglip("google/siglip-so400m-patch14-224", So400m with { PatchSize = 14 }),
        Siglip("google/siglip-so400m-patch14-384", So400m with { PatchSize = 14, ImageSize = 384 }),
        Siglip("google/siglip-so400m-patch16-256-i18n", So400m with { ImageSize = 256 }),

        Siglip2("google/siglip2-base-patch16-224", Base),
        Siglip2("google/siglip2-base-patch16-256", Base with { ImageSize = 256 }),
        Siglip2("google/siglip2-base-patch16-384", Base with { ImageSize = 384 }),
        Siglip2("google/siglip2-base-patch16-512", Base with { ImageSize = 512 }),
        Siglip2("google/siglip2-base-patch32-256", Base with { PatchSize = 32, ImageSize = 256 }),
        Siglip2("google/siglip2-large-patch16-256", Large with { ImageSize = 256 }),
        Siglip2("google/siglip2-large-patch16-384", Large with { ImageSize = 384 }),
        Siglip2("google/siglip2-large-patch16-512", Large with { ImageSize = 512 }),
        Siglip2("google/siglip2-so400m-patch14-224", So400m with { PatchSize = 14 }),
        Siglip2("google/siglip2-so400m-patch14-384", So400m with { PatchSize = 14, ImageSize = 384 }),
        Siglip2("google/siglip2-so400m-patch16-256", So400m with { ImageSize = 256 }),
        Siglip2("google/siglip2-so400m-patch16-384", So400m with { ImageSize = 384 }),
        Siglip2("google/siglip2-so400m-patch16-512", So400m with { ImageSize = 512 }),
        Siglip2("google/siglip2-giant-opt-patch16-256", GiantOpt with { ImageSize = 256 }),
        Siglip2("google/siglip2-giant-opt-patch16-384", GiantOpt with { ImageSize = 384 }),

        new("google/siglip2-base-patch16-naflex", BaseNaFlex, new Siglip2ImageProcessorConfig()),
        new("google/siglip2-so400m-patch16-naflex", So400mNaFlex, new Siglip2ImageProcessorConfig()),
    ];

    /// <summary>Finds a checkpoint by its name.</summary>
    /// <param name="hubId">Its name on the Hugging Face hub, such as google/siglip-base-patch16-224.</param>
    /// <exception cref="ArgumentException">No such checkpoint is known; the message names those whose names are nearest.</exception>
    public static SiglipVariant Find(string hubId)
    {
        ArgumentException.ThrowIfNullOrEmpty(hubId);
        return TryFind(hubId) ?? throw new ArgumentException($"'{hubId}' is no known checkpoint; the nearest names are "
            + $"{string.Join(", ", Nearest(hubId))}.", nameof(hubId));
    }

    internal static SiglipVariant? TryFind(string hubId) => All.FirstOrDefault(variant => variant.HubId == hubId);

    internal static IEnumerable<string> Nearest(string hubId) => All.Select(variant => variant.HubId).OrderBy(known => Difference(hubId, known)).Take(NearIds);

    /// <summary>The names of the checkpoints with exactly these sizes.</summary>
    internal static IEnumerable<string> WithArchitecture(SiglipVisionConfigBase config) =>
        All.Where(variant => variant.Config == config).Select(variant => variant.HubId);

    // Resampling: SiglipImageProcessor's default, bicubic, for SigLIP; bilinear for SigLIP 2.
    private static SiglipVariant Siglip(string hubId, SiglipVisionConfig config) =>
        new(hubId, config, new SiglipImageProcessorConfig { Height = config.ImageSize, Width = config.ImageSize, Resample = ImageResampling.Bicubic });

    private static SiglipVariant Siglip2(string hubId, SiglipVisionConfig config) =>
        new(hubId, config, new SiglipImageProcessorConfig { Height = config.ImageSize, Width = config.ImageSize, Resample = ImageResampling.Bilinear });

    // Number of words, such as patch16, that only one of the names has.
    private static int Difference(string one, string other)
    {
        HashSet<string> words = new(one.Split('/', '-'), StringComparer.OrdinalIgnoreCase);
        words.SymmetricExceptWith(other.Split('/', '-'));
        return words.Count;
    }
}
