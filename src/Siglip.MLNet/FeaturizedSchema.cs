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

/// <summary>The columns of one input and those that are added.</summary>
internal sealed class FeaturizedSchema
{
    public const string ExpectedTypes = "MLImage, a vector of bytes (an encoded image) or text (the path of an image)";

    private readonly IReadOnlyList<AddedColumn> _added;
    private readonly int[] _origins; // of each column of Output: its index in Input, or ~index in _added

    /// <exception cref="ArgumentOutOfRangeException">The input column is missing or of a wrong type.</exception>
    public FeaturizedSchema(DataViewSchema inputSchema, FeaturizerSettings settings, EmbeddingSizes sizes)
        : this(inputSchema, settings.InputColumnName, [.. settings.Columns.Select(column => new EmbeddingColumn(column.Key, column.Value, sizes))])
    {
    }

    /// <param name="inputSchema">The input's columns.</param>
    /// <param name="inputColumnName">The column with the images.</param>
    /// <param name="added">At least one, with different names.</param>
    /// <exception cref="ArgumentOutOfRangeException">The input column is missing or of a wrong type.</exception>
    public FeaturizedSchema(DataViewSchema inputSchema, string inputColumnName, IReadOnlyList<AddedColumn> added)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        Input = inputSchema;
        Source = inputSchema.GetColumnOrNull(inputColumnName) ?? throw Environments.MissingColumn(nameof(inputSchema), inputColumnName);
        SourceKind = KindOf(Source.Type)
            ?? throw Environments.SchemaMismatch(nameof(inputSchema), Source.Name, ExpectedTypes, Source.Type.ToString()!);

        _added = added;
        _origins = OriginsOf(inputSchema, added);
        var builder = new DataViewSchema.Builder();
        foreach (int origin in _origins)
        {
            if (origin >= 0)
                builder.AddColumns([inputSchema[origin]]);
            else
                builder.AddColumn(added[~origin].Name, added[~origin].Type, added[~origin].AnnotationsAfter(inputSchema));
        }

        Output = builder.ToSchema();
    }

    public DataViewSchema Input { get; }

    /// <summary>The input's columns, then those that are added; but one with the name of a column of the input hides that and follows it at once, as in ML.NET's own
    /// transforms.</summary>
    public DataViewSchema Output { get; }

    /// <summary>The column with the images, in <see cref="Input"/>.</summary>
    public DataViewSchema.Column Source { get; }

    /// <summary>The index of <see cref="Source"/> in <see cref="Output"/>.</summary>
    public int SourceIndex => Array.IndexOf(_origins, Source.Index);

    public ImageColumnKind SourceKind { get; }

    /// <summary>What messages call what is computed of an image, in the singular.</summary>
    public string ValueName => _added[0].ValueName;

    public static ImageColumnKind? KindOf(DataViewType type) => type switch
    {
        ImageDataViewType => ImageColumnKind.Image,
        TextDataViewType => ImageColumnKind.Path,
        VectorDataViewType vector when vector.ItemType == NumberDataViewType.Byte => ImageColumnKind.Bytes,
        _ => null,
    };

    /// <summary>Whether <see cref="KindOf"/> knows a column of this shape.</summary>
    public static bool IsImageColumn(SchemaShape.Column column) => column.Kind == SchemaShape.Column.VectorKind.Scalar
        ? !column.IsKey && KindOf(column.ItemType) is not null
        : !column.IsKey && column.ItemType == NumberDataViewType.Byte;

    public static SiglipEmbeddingOutputs FlagOf(SiglipOutputKind kind) => kind switch
    {
        SiglipOutputKind.PatchEmbeddings => SiglipEmbeddingOutputs.PatchEmbeddings,
        SiglipOutputKind.PooledEmbedding => SiglipEmbeddingOutputs.PooledEmbedding,
        SiglipOutputKind.MeanPatchEmbedding => SiglipEmbeddingOutputs.MeanPatchEmbedding,
        SiglipOutputKind.PatchCount or SiglipOutputKind.PatchGrid => SiglipEmbeddingOutputs.None, // known before the model computes
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "There is no such output kind."),
    };

    /// <summary>Whether an index of <see cref="Output"/> is that of a column that is added.</summary>
    public bool IsAdded(int index) => _origins[index] < 0;

    /// <summary>The column that is added and stands at an index of <see cref="Output"/>.</summary>
    public AddedColumn AddedAt(int index) => _added[~_origins[index]];

    /// <summary>The input's column that stands at an index of <see cref="Output"/>.</summary>
    public DataViewSchema.Column InputAt(int index) => Input[_origins[index]];

    /// <summary>A flag for each column of <see cref="Output"/>.</summary>
    /// <exception cref="InvalidOperationException">A column is not of this schema.</exception>
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

    /// <summary>The embeddings that the active columns need.</summary>
    public SiglipEmbeddingOutputs ActiveEmbeddings(bool[] active)
    {
        var embeddings = SiglipEmbeddingOutputs.None;
        for (int index = 0; index < active.Length; index++)
        {
            if (active[index] && IsAdded(index))
                embeddings |= AddedAt(index).Embeddings;
        }

        return embeddings;
    }

    /// <summary>Whether a column that is added is among the active ones.</summary>
    public bool NeedsImages(bool[] active) => Output.Any(column => active[column.Index] && IsAdded(column.Index));

    /// <summary>The columns of the input that the active columns need.</summary>
    public IReadOnlyList<DataViewSchema.Column> Dependencies(bool[] active)
    {
        bool[] needed = new bool[Input.Count];
        needed[Source.Index] = NeedsImages(active);
        for (int index = 0; index < active.Length; index++)
        {
            if (active[index] && !IsAdded(index))
                needed[_origins[index]] = true;
        }

        return [.. Input.Where(column => needed[column.Index])];
    }

    /// <exception cref="InvalidOperationException">The column is not of this schema.</exception>
    public void CheckColumn(DataViewSchema.Column column)
    {
        CheckIndex(column);
        if (Output[column.Index].Name != column.Name)
            throw Stranger(column);
    }

    /// <summary>Checks the index only: to ask whether a column is active, ML.NET's transforms pass a column of their own schema with the index that it has in ours.</summary>
    /// <exception cref="InvalidOperationException">There is no such column.</exception>
    public void CheckIndex(DataViewSchema.Column column)
    {
        if (column.Index >= Output.Count)
            throw Stranger(column);
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

    private static int[] OriginsOf(DataViewSchema inputSchema, IReadOnlyList<AddedColumn> added)
    {
        List<int> origins = [.. Enumerable.Range(0, inputSchema.Count)];
        for (int i = 0; i < added.Count; i++)
        {
            string name = added[i].Name;
            int hidden = origins.FindLastIndex(origin => origin >= 0 && inputSchema[origin].Name == name); // names that are added differ
            origins.Insert(hidden < 0 ? origins.Count : hidden + 1, ~i);
        }

        return [.. origins];
    }

    private InvalidOperationException Stranger(DataViewSchema.Column column) =>
        new($"Column '{column.Name}' with index {column.Index} is not among the {Output.Count} columns of this schema.");
}
