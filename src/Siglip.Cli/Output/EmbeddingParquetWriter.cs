using System.Buffers;
using Parquet;
using Parquet.Schema;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary>Apache Parquet: a row for each image, with its path and its embedding, a list of float32; or for each of its patches, with its number, row and column
/// (from 0) between the two. An image that could not be read has one row, with nulls after the path.</summary>
internal sealed class EmbeddingParquetWriter : IEmbeddingWriter
{
    /// <summary>16 MiB of values; the levels beside them take twice that while they are in memory.</summary>
    public const int ValuesOfRowGroup = 1 << 22;

    private const int Missing = 0, Present = 2; // definition levels of a list that may be null, of values that may not

    private readonly DataField _path = new("path", typeof(string), isNullable: false);
    private readonly DataField[] _places = [new DataField<int?>("patch"), new DataField<int?>("row"), new DataField<int?>("column")];
    private readonly DataField<float> _element = new(ListField.ElementName);
    private readonly ParquetWriter _writer;
    private readonly bool _patches;
    private readonly int _hidden;
    private readonly int _rowsOfGroup;

    private readonly List<string> _paths = [];
    private readonly List<int?>[] _placeValues = [[], [], []];
    private readonly ArrayBufferWriter<float> _values = new();
    private readonly ArrayBufferWriter<int> _definitionLevels = new(), _repetitionLevels = new();

    /// <param name="stream">Gets the file; it stays open.</param>
    /// <param name="rowShape">[hidden], or [patches, hidden].</param>
    /// <param name="metadata">Becomes the file's key-value metadata.</param>
    /// <param name="valuesOfRowGroup">How many values are held in memory before they are written.</param>
    public EmbeddingParquetWriter(Stream stream, int[] rowShape, IReadOnlyDictionary<string, string> metadata, int valuesOfRowGroup = ValuesOfRowGroup)
    {
        _patches = rowShape.Length == 2;
        _hidden = rowShape[^1];
        _rowsOfGroup = Math.Max(1, valuesOfRowGroup / _hidden);
        var schema = new ParquetSchema([_path, .. _patches ? _places : [], new ListField("embedding", _element)]);
        var options = new ParquetOptions { ColumnEncodingHints = { [_path.Path.ToString()] = EncodingHint.Dictionary } };
        _writer = ParquetWriter.CreateAsync(schema, stream, options).GetAwaiter().GetResult();
        _writer.CustomMetadata = metadata;
    }

    public void Write(string path, SiglipImageEmbedding embedding)
    {
        if (embedding.Error is not null)
            Add(path, null, []);
        else if (!_patches)
            Add(path, null, embedding.Values);
        else
        {
            for (int patch = 0; patch < embedding.PatchGrid.Count; patch++)
                Add(path, (patch, patch / embedding.PatchGrid.Columns, patch % embedding.PatchGrid.Columns), embedding.Values.AsSpan(patch * _hidden, _hidden));
        }
    }

    /// <summary>Writes what is left, and the file's end.</summary>
    public void Dispose()
    {
        WriteRowGroup();
        _writer.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    // No values: a null.
    private void Add(string path, (int Patch, int Row, int Column)? place, ReadOnlySpan<float> values)
    {
        _paths.Add(path);
        _placeValues[0].Add(place?.Patch);
        _placeValues[1].Add(place?.Row);
        _placeValues[2].Add(place?.Column);
        _values.Write(values);
        int levels = Math.Max(1, values.Length);
        _definitionLevels.GetSpan(levels)[..levels].Fill(values.IsEmpty ? Missing : Present);
        _definitionLevels.Advance(levels);
        Span<int> repetitions = _repetitionLevels.GetSpan(levels)[..levels];
        repetitions.Fill(1);
        repetitions[0] = 0; // a list begins
        _repetitionLevels.Advance(levels);
        if (_paths.Count == _rowsOfGroup)
            WriteRowGroup();
    }

    private void WriteRowGroup()
    {
        if (_paths.Count == 0)
            return;
        WriteRowGroupAsync().GetAwaiter().GetResult();
        _paths.Clear();
        foreach (List<int?> places in _placeValues)
            places.Clear();
        _values.ResetWrittenCount();
        _definitionLevels.ResetWrittenCount();
        _repetitionLevels.ResetWrittenCount();
    }

    private async Task WriteRowGroupAsync()
    {
        using ParquetRowGroupWriter group = _writer.CreateRowGroup();
        await group.WriteAsync(_path, _paths).ConfigureAwait(false);
        if (_patches)
        {
            for (int i = 0; i < _places.Length; i++)
                await group.WriteAsync<int>(_places[i], (ReadOnlyMemory<int?>)_placeValues[i].ToArray()).ConfigureAwait(false);
        }

        await group.WriteAllPartsAsync(_element, _values.WrittenMemory, _definitionLevels.WrittenMemory, _repetitionLevels.WrittenMemory, CancellationToken.None).ConfigureAwait(false);
        group.CompleteValidate();
    }
}
