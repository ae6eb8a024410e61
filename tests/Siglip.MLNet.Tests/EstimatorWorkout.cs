using System.Runtime.CompilerServices;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace Siglip.MLNet.Tests;

/// <summary>What every estimator has to keep, in the spirit of TestEstimatorCore of ML.NET's own tests.</summary>
internal static class EstimatorWorkout
{
    public static void Run(MLContext mlContext, IEstimator<ITransformer> estimator, IDataView valid, IDataView invalid)
    {
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => estimator.GetOutputSchema(ShapeOf(invalid.Schema)));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => estimator.Fit(invalid));
        ITransformer transformer = estimator.Fit(valid);
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => transformer.Transform(invalid));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => transformer.GetOutputSchema(invalid.Schema));

        SchemaShape promised = estimator.GetOutputSchema(ShapeOf(valid.Schema));
        IDataView transformed = transformer.Transform(valid);
        AssertSame(promised, ShapeOf(transformer.GetOutputSchema(valid.Schema)));
        AssertSame(promised, ShapeOf(transformed.Schema));
        int[] added = [.. transformed.Schema.Where(column => valid.Schema.GetColumnOrNull(column.Name) is null).Select(column => column.Index)];
        Assert.AreNotEqual(0, added.Length);
        object[][] expected = Read(transformed, added);

        ITransformer loaded = SaveAndLoad(mlContext, transformer, valid.Schema);
        AssertSame(expected, Read(loaded.Transform(valid), added), "loaded");
        AssertSame(expected, Read(transformed, added), "read again");
        foreach (int index in added) // a subset of the columns gives the same values
            AssertSame([.. expected.Select(row => new[] { row[Array.IndexOf(added, index)] })], Read(transformed, [index]), "subset");
        AssertLockstep(transformed, added);
        AssertMapperGivesRowsOf(transformed, transformer, valid, added);

        // Disposing is harmless for others, and when it happens twice.
        ((IDisposable)transformer).Dispose();
        ((IDisposable)transformer).Dispose();
        AssertSame(expected, Read(loaded.Transform(valid), added), "loaded, original disposed");
        ((IDisposable)loaded).Dispose();
    }

    public static ITransformer SaveAndLoad(MLContext mlContext, ITransformer transformer, DataViewSchema inputSchema)
    {
        using var stream = new MemoryStream();
        mlContext.Model.Save(transformer, inputSchema, stream);
        stream.Position = 0;
        return mlContext.Model.Load(stream, out _);
    }

    public static SchemaShape ShapeOf(DataViewSchema schema) => CreateShape(null, schema);

    /// <summary>The values of a vector, or the one of a scalar.</summary>
    public static float[] ReadVector(DataViewRow row, DataViewSchema.Column column)
    {
        if (column.Type == NumberDataViewType.Single)
        {
            float single = default;
            row.GetGetter<float>(column)(ref single);
            return [single];
        }

        VBuffer<float> value = default;
        row.GetGetter<VBuffer<float>>(column)(ref value);
        return value.DenseValues().ToArray();
    }

    private static object[][] Read(IDataView data, int[] columns)
    {
        var rows = new List<object[]>();
        using DataViewRowCursor cursor = data.GetRowCursor(columns.Select(index => data.Schema[index]));
        while (cursor.MoveNext())
            rows.Add([.. columns.Select(index => ReadVector(cursor, data.Schema[index]))]);
        return [.. rows];
    }

    private static void AssertLockstep(IDataView data, int[] columns)
    {
        DataViewSchema.Column[] needed = [.. columns.Select(index => data.Schema[index])];
        using DataViewRowCursor first = data.GetRowCursor(needed);
        DataViewRowCursor[] set = data.GetRowCursorSet(needed, 4);
        Assert.HasCount(1, set);
        using DataViewRowCursor second = set[0];
        bool more;
        do
        {
            more = first.MoveNext();
            Assert.AreEqual(more, second.MoveNext());
            Assert.AreEqual(first.Position, second.Position);
            if (!more)
                continue;
            DataViewRowId a = default, b = default;
            first.GetIdGetter()(ref a);
            second.GetIdGetter()(ref b);
            Assert.AreEqual(a, b);
            foreach (DataViewSchema.Column column in needed)
                CollectionAssert.AreEqual(ReadVector(first, column), ReadVector(second, column));
        }
        while (more);
    }

    private static void AssertMapperGivesRowsOf(IDataView transformed, ITransformer transformer, IDataView input, int[] columns)
    {
        Assert.IsTrue(transformer.IsRowToRowMapper);
        IRowToRowMapper mapper = transformer.GetRowToRowMapper(input.Schema);
        AssertSame(ShapeOf(transformed.Schema), ShapeOf(mapper.OutputSchema));
        DataViewSchema.Column[] mapped = [.. columns.Select(index => mapper.OutputSchema[index])];
        using DataViewRowCursor cursor = transformed.GetRowCursor(columns.Select(index => transformed.Schema[index]));
        using DataViewRowCursor source = input.GetRowCursor(mapper.GetDependencies(mapped));
        using DataViewRow row = mapper.GetRow(source, mapped);
        while (cursor.MoveNext())
        {
            Assert.IsTrue(source.MoveNext());
            Assert.AreEqual(cursor.Position, row.Position);
            foreach (DataViewSchema.Column column in mapped)
                TestModel.AreClose([ReadVector(cursor, transformed.Schema[column.Index])], [ReadVector(row, column)]);
        }

        Assert.IsFalse(source.MoveNext());
    }

    private static void AssertSame(SchemaShape promised, SchemaShape actual)
    {
        CollectionAssert.AreEqual(Lines(actual), Lines(promised));

        static string[] Lines(SchemaShape shape) => [.. shape.Select(column =>
            $"{column.Name} {column.Kind} {column.ItemType} {column.IsKey} [{string.Join(", ", Lines(column.Annotations))}]").Order(StringComparer.Ordinal)];
    }

    private static void AssertSame(object[][] expected, object[][] actual, string what)
    {
        Assert.HasCount(expected.Length, actual, what);
        for (int row = 0; row < expected.Length; row++)
        {
            for (int i = 0; i < expected[row].Length; i++)
                CollectionAssert.AreEqual((float[])expected[row][i], (float[])actual[row][i], $"{what}, row {row}");
        }
    }

    [UnsafeAccessor(UnsafeAccessorKind.StaticMethod, Name = "Create")]
    private static extern SchemaShape CreateShape(SchemaShape? owner, DataViewSchema schema);
}
