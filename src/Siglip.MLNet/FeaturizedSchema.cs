using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms.Image;
using Siglip.Core;
using Siglip.MLNet.Internals;

namespace Siglip.MLNet;

/// <summary>How images stand in the input column.</summary>
internal enum ImageColumnKind
{
    Image,
    Bytes,
    Path,
}

/// <summary>The columns of one input, followed by the embeddings.</summary>
internal sealed class FeaturizedSchema
{
    public const string ExpectedTypes = "MLImage, a vector of bytes (an encoded image) or text (the path of an image)";

    private readonly SiglipOutputKind[] _outputs;

    /// <exception cref="ArgumentOutOfRangeException">The input column is missing or of a wrong type.</exception>
    public FeaturizedSchema(DataViewSchema inputSchema, FeaturizerSettings settings, EmbeddingSizes sizes)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        Input = inputSchema;
        Source = inputSchema.GetColumnOrNull(settings.InputColumnName)
            ?? throw Environments.MissingColumn(nameof(inputSchema), settings.InputColumnName);
        SourceKind = KindOf(Source.Type)
            ?? throw Environments.SchemaMismatch(nameof(inputSchema), Source.Name, ExpectedTypes, Source.Type.ToString()!);

        var builder = new DataViewSchema.Builder();
        builder.AddColumns(inputSchema);
        foreach ((string name, SiglipOutputKind kind) in settings.Columns)
            builder.AddColumn(name, TypeOf(kind, sizes));
        Output = builder.ToSchema();
        _outputs = [.. settings.Columns.Select(column => column.Value)];
    }

    public DataViewSchema Input { get; }

    /// <summary>The input's columns under their old indices, then the embeddings; a column of the input with an embedding's name is hidden.</summary>
    public DataViewSchema Output { get; }

    public DataViewSchema.Column Source { get; }

    public ImageColumnKind SourceKind { get; }

    public static ImageColumnKind? KindOf(DataViewType type) => type switch
    {
        ImageDataViewType => ImageColumnKind.Image,
        TextDataViewType => ImageColumnKind.Path,
        VectorDataViewType vector when vector.ItemType == NumberDataViewType.Byte => ImageColumnKind.Bytes,
        _ => null,
    };

    public static SiglipEmbeddingOutputs FlagOf(SiglipOutputKind kind) => kind switch
    {
        SiglipOutputKind.PatchEmbeddings => SiglipEmbeddingOutputs.PatchEmbeddings,
        SiglipOutputKind.PooledEmbedding => SiglipEmbeddingOutputs.PooledEmbedding,
        SiglipOutputKind.MeanPatchEmbedding => SiglipEmbeddingOutputs.MeanPatchEmbedding,
        SiglipOutputKind.PatchCount or SiglipOutputKind.PatchGrid => SiglipEmbeddingOutputs.None, // known before the model computes
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "There is no such output kind."),
    };

    /// <summary>Whether an index of <see cref="Output"/> is that of a column that is added.</summary>
    public bool IsAdded(int index) => index >= Input.Count;

    public SiglipOutputKind KindAt(int index) => _outputs[index - Input.Count];

    /// <summary>A flag for each column of <see cref="Output"/>.</summary>
    /// <exception cref="ArgumentException">A column is not of this schema.</exception>
    public bool[] ActiveColumns(IEnumerable<DataViewSchema.Column> columnsNeeded)
    {
        ArgumentNullException.ThrowIfNull(columnsNeeded);
        bool[] active = new bool[Output.Count];
        foreach (DataViewSchema.Column column in columnsNeeded)
        {
            CheckColumn(column);
            active[column.Index] = true;
        }

        return active;
    }

    /// <summary>The embeddings among the active columns.</summary>
    public SiglipEmbeddingOutputs ActiveEmbeddings(bool[] active)
    {
        var embeddings = SiglipEmbeddingOutputs.None;
        for (int index = Input.Count; index < active.Length; index++)
        {
            if (active[index])
                embeddings |= FlagOf(KindAt(index));
        }

        return embeddings;
    }

    /// <summary>Whether a column that is added is among the active ones.</summary>
    public bool NeedsImages(bool[] active) => active.AsSpan(Input.Count).Contains(true);

    /// <summary>The columns of the input that the active columns need.</summary>
    public IReadOnlyList<DataViewSchema.Column> Dependencies(bool[] active)
    {
        bool reads = NeedsImages(active);
        return [.. Input.Where(column => active[column.Index] || (reads && column.Index == Source.Index))];
    }

    public void CheckColumn(DataViewSchema.Column column)
    {
        if (column.Index < 0 || column.Index >= Output.Count || Output[column.Index].Name != column.Name)
            throw new ArgumentException($"Column '{column.Name}' with index {column.Index} is not among the {Output.Count} columns of this schema.");
    }

    /// <summary>A getter under the type that the caller asked for.</summary>
    /// <exception cref="InvalidOperationException">The column has another type, or it is not active.</exception>
    public static ValueGetter<TValue> Cast<TValue>(Delegate? getter, DataViewSchema.Column column)
    {
        if (getter is null)
            throw new InvalidOperationException($"Column '{column.Name}' is not active; name it when the cursor is made.");
        return getter as ValueGetter<TValue> ?? throw new InvalidOperationException(
            $"Column '{column.Name}' has values of type {column.Type.RawType}, asked for was {typeof(TValue)}.");
    }

    private static DataViewType TypeOf(SiglipOutputKind kind, EmbeddingSizes sizes) => kind switch
    {
        SiglipOutputKind.PatchEmbeddings => new VectorDataViewType(NumberDataViewType.Single, sizes.PatchCount, sizes.HiddenSize),
        SiglipOutputKind.PatchCount => NumberDataViewType.Single,
        SiglipOutputKind.PatchGrid => new VectorDataViewType(NumberDataViewType.Single, 2),
        _ => new VectorDataViewType(NumberDataViewType.Single, sizes.HiddenSize),
    };
}
