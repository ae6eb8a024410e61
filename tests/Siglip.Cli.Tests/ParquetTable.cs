using Parquet;
using Parquet.Schema;

namespace Siglip.Cli.Tests;

/// <summary>What is in a Parquet file with embeddings.</summary>
/// <param name="Metadata">The file's key-value metadata.</param>
/// <param name="RowGroups">How many row groups there are.</param>
/// <param name="Columns">The paths of the columns.</param>
/// <param name="Rows">All rows, in order.</param>
internal sealed record ParquetTable(IReadOnlyDictionary<string, string> Metadata, int RowGroups, IReadOnlyList<string> Columns, IReadOnlyList<ParquetRow> Rows)
{
    public static async Task<ParquetTable> ReadAsync(string path)
    {
        await using FileStream stream = File.OpenRead(path);
        await using ParquetReader reader = await ParquetReader.CreateAsync(stream);
        DataField[] fields = reader.Schema.GetDataFields();
        var rows = new List<ParquetRow>();
        for (int i = 0; i < reader.RowGroupCount; i++)
        {
            using ParquetRowGroupReader group = reader.OpenRowGroupReader(i);
            string?[] paths = new string?[group.RowCount];
            await group.ReadAsync(fields[0], paths.AsMemory());
            int?[][] places = [new int?[group.RowCount], new int?[group.RowCount], new int?[group.RowCount]];
            foreach ((DataField field, int?[] values) in fields[1..^1].Zip(places))
                await group.ReadAsync<int>(field, values.AsMemory());
            float[]?[] embeddings = await ReadListsAsync(group, fields[^1]);
            rows.AddRange(paths.Select((name, row) => new ParquetRow(name!, places[0][row], places[1][row], places[2][row], embeddings[row])));
        }

        return new ParquetTable(reader.CustomMetadata, reader.RowGroupCount, [.. fields.Select(field => field.Path.ToString())], rows);
    }

    private static async Task<float[]?[]> ReadListsAsync(ParquetRowGroupReader group, DataField field)
    {
        int count = (int)group.GetMetadata(field)!.MetaData!.NumValues;
        float[] values = new float[count];
        int[] definitionLevels = new int[count], repetitionLevels = new int[count];
        await group.ReadRawAsync(field, values.AsMemory(), definitionLevels.AsMemory(), repetitionLevels.AsMemory());

        var lists = new List<List<float>?>();
        int next = 0;
        for (int i = 0; i < count; i++)
        {
            if (repetitionLevels[i] == 0)
                lists.Add(definitionLevels[i] == 0 ? null : []);
            if (definitionLevels[i] == field.MaxDefinitionLevel)
                lists[^1]!.Add(values[next++]);
        }

        return [.. lists.Select(list => list?.ToArray())];
    }
}

/// <summary>A row: of an image, or of one of its patches.</summary>
internal sealed record ParquetRow(string Path, int? Patch, int? Row, int? Column, float[]? Embedding);
