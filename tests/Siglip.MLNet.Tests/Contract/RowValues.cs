using System.Security.Cryptography;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace Siglip.MLNet.Tests;

/// <summary>Values of columns of any type that the contract's data have, so that they can be compared: numbers as float[], others as text.</summary>
internal static class RowValues
{
    /// <summary>Reads a column of the row that the cursor stands on.</summary>
    public static Func<object> Reader(DataViewRow row, DataViewSchema.Column column) => column.Type switch
    {
        NumberDataViewType type when type == NumberDataViewType.Single => Of<float>(row, column, value => new[] { value }),
        NumberDataViewType => Of<byte>(row, column, value => $"{value}"),
        BooleanDataViewType => Of<bool>(row, column, value => $"{value}"),
        KeyDataViewType => Of<uint>(row, column, value => $"{value}"),
        TextDataViewType => Of<ReadOnlyMemory<char>>(row, column, value => value.ToString()),
        VectorDataViewType type when type.ItemType.RawType == typeof(float) => OfVector<float>(row, column, values => values),
        VectorDataViewType type when type.ItemType.RawType == typeof(byte) => OfVector<byte>(row, column, Convert.ToHexString),
        VectorDataViewType type when type.ItemType.RawType == typeof(sbyte) => OfVector<sbyte>(row, column, values => string.Join(' ', values)),
        VectorDataViewType type when type.ItemType.RawType == typeof(uint) => OfVector<uint>(row, column, values => string.Join(' ', values)),
        VectorDataViewType type when type.ItemType.RawType == typeof(ReadOnlyMemory<char>) =>
            OfVector<ReadOnlyMemory<char>>(row, column, values => string.Join('|', values)),
        _ => Of<MLImage>(row, column, image => $"{image.Width} x {image.Height} {image.Tag} {Convert.ToHexString(SHA256.HashData(image.Pixels))}"),
    };

    public static object[][] ReadAll(IDataView data) => ReadAll(data, data.Schema);

    /// <summary>[row][column]</summary>
    public static object[][] ReadAll(IDataView data, IEnumerable<DataViewSchema.Column> columns)
    {
        using DataViewRowCursor cursor = data.GetRowCursor(columns);
        return ReadRest(cursor, columns);
    }

    public static object[][] ReadRest(DataViewRowCursor cursor, IEnumerable<DataViewSchema.Column> columns)
    {
        Func<object>[] readers = [.. columns.Select(column => Reader(cursor, column))];
        var rows = new List<object[]>();
        while (cursor.MoveNext())
            rows.Add([.. readers.Select(reader => reader())]);
        return [.. rows];
    }

    public static void AssertSame(object[][] expected, object[][] actual, string what, float tolerance = 0)
    {
        Assert.HasCount(expected.Length, actual, what);
        for (int row = 0; row < expected.Length; row++)
        {
            Assert.HasCount(expected[row].Length, actual[row], what);
            for (int i = 0; i < expected[row].Length; i++)
                AssertSame(expected[row][i], actual[row][i], $"{what}, row {row}, column {i}", tolerance);
        }
    }

    public static void AssertSame(object expected, object actual, string what, float tolerance = 0)
    {
        if (expected is not float[] numbers)
            Assert.AreEqual(expected, actual, what);
        else if (tolerance == 0)
            CollectionAssert.AreEqual(numbers, (float[])actual, what);
        else
            TestModel.AreClose([numbers], [(float[])actual], tolerance);
    }

    private static Func<object> Of<T>(DataViewRow row, DataViewSchema.Column column, Func<T, object> convert)
    {
        ValueGetter<T> getter = row.GetGetter<T>(column);
        T value = default!;
        return () =>
        {
            getter(ref value);
            return convert(value);
        };
    }

    private static Func<object> OfVector<T>(DataViewRow row, DataViewSchema.Column column, Func<T[], object> convert) =>
        Of<VBuffer<T>>(row, column, value =>
        {
            if (((VectorDataViewType)column.Type).Size is var size and > 0)
                Assert.AreEqual(size, value.Length, $"length of {column.Name}");
            return convert([.. value.DenseValues()]);
        });
}
