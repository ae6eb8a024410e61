using Siglip.Core;

namespace Siglip.MLNet;

/// <summary>The options without the device, checked and resolved; this is what a saved model holds.</summary>
internal sealed record FeaturizerSettings
{
    public required string InputColumnName { get; init; }

    public required IReadOnlyList<KeyValuePair<string, SiglipOutputKind>> Columns { get; init; }

    public required string Model { get; init; }

    public string? ImageFolder { get; init; }

    public int BatchSize { get; init; } = 16;

    public BadImageHandling BadImages { get; init; }

    public bool EmbedWeights { get; init; } = true;

    public bool Normalize { get; init; }

    public bool ApplyExifOrientation { get; init; }

    public bool FastDecode { get; init; }

    public SiglipPrecision Precision { get; init; }

    public SiglipImageBackend ImageBackend { get; init; }

    public bool InterpolatePositionEncoding { get; init; }

    public int? ImageHeight { get; init; }

    public int? ImageWidth { get; init; }

    public int? MaxNumPatches { get; init; }

    /// <summary>The embeddings among the columns that are one vector for an image.</summary>
    public SiglipEmbeddingOutputs VectorOutputs => Columns.Aggregate(SiglipEmbeddingOutputs.None, (flags, column) => flags | FeaturizedSchema.FlagOf(column.Value))
        & ~SiglipEmbeddingOutputs.PatchEmbeddings;

    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public static FeaturizerSettings From(SiglipImageFeaturizingOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        KeyValuePair<string, SiglipOutputKind>[] columns = [.. options.Columns ?? throw new ArgumentException("Columns is null.", nameof(options))];
        if (options.InputColumnName is null && columns.Length > 1)
            throw new ArgumentException($"InputColumnName is missing. With {columns.Length} output columns it cannot be that of the output.", nameof(options));

        var settings = new FeaturizerSettings
        {
            InputColumnName = options.InputColumnName ?? (columns.Length == 1 ? columns[0].Key : ""),
            Columns = columns,
            Model = options.Model,
            ImageFolder = string.IsNullOrEmpty(options.ImageFolder) ? null : options.ImageFolder,
            BatchSize = options.BatchSize,
            BadImages = options.BadImages,
            EmbedWeights = options.EmbedWeights,
            Normalize = options.Normalize,
            ApplyExifOrientation = options.ApplyExifOrientation,
            FastDecode = options.FastDecode,
            Precision = options.Precision,
            ImageBackend = options.ImageBackend,
            InterpolatePositionEncoding = options.InterpolatePositionEncoding,
            ImageHeight = options.ImageHeight,
            ImageWidth = options.ImageWidth,
            MaxNumPatches = options.MaxNumPatches,
        };
        settings.Validate();
        return settings;
    }

    /// <exception cref="ArgumentException">A value is out of its range.</exception>
    public void Validate()
    {
        if (Columns.Count == 0)
            throw new ArgumentException("There is no output column. Add one to Columns.", nameof(Columns));
        if (string.IsNullOrEmpty(InputColumnName))
            throw new ArgumentException("The name of the input column is empty.", nameof(InputColumnName));
        foreach ((string name, SiglipOutputKind kind) in Columns)
        {
            if (string.IsNullOrEmpty(name))
                throw new ArgumentException("The name of an output column is empty.", nameof(Columns));
            if (!Enum.IsDefined(kind))
                throw new ArgumentOutOfRangeException(nameof(Columns), kind, $"Output column '{name}' has an unknown kind.");
        }

        if (Columns.Select(column => column.Key).Distinct(StringComparer.Ordinal).Count() != Columns.Count)
            throw new ArgumentException("Two output columns have the same name.", nameof(Columns));
        if (string.IsNullOrEmpty(Model))
            throw new ArgumentException("The model is empty. Name the folder of a checkpoint, or 'nano'.", nameof(Model));
        if (BatchSize < 1)
            throw new ArgumentOutOfRangeException($"BatchSize is {BatchSize}, expected at least 1.", innerException: null);
        if (!Enum.IsDefined(BadImages))
            throw new ArgumentOutOfRangeException(nameof(BadImages), BadImages, "There is no such handling of bad images.");
        if (!Enum.IsDefined(Precision))
            throw new ArgumentOutOfRangeException($"Precision is {(int)Precision}, expected Float32, BFloat16, Float16 or Int8.", innerException: null);
        if (!Enum.IsDefined(ImageBackend))
            throw new ArgumentOutOfRangeException($"ImageBackend is {(int)ImageBackend}, expected Pillow or Torchvision.", innerException: null);
    }

    /// <summary>What the embedder gets of the settings.</summary>
    /// <param name="device">Torch's name of the device that computes.</param>
    public SiglipImageEmbedderOptions ToEmbedderOptions(string device) => new()
    {
        BatchSize = BatchSize,
        Device = device,
        Precision = Precision,
        ImageBackend = ImageBackend,
        InterpolatePositionEncoding = InterpolatePositionEncoding,
        ImageHeight = ImageHeight,
        ImageWidth = ImageWidth,
        MaxNumPatches = MaxNumPatches,
        Normalize = Normalize,
        ApplyExifOrientation = ApplyExifOrientation,
        FastDecode = FastDecode,
    };
}
