using Microsoft.ML;
using Microsoft.ML.Data;

namespace Siglip.MLNet.Tests;

/// <summary>A row with an image in every form, and columns of many types.</summary>
internal sealed class ContractRow
{
    public string Path { get; set; } = "";

    public byte[] Bytes { get; set; } = [];

    /// <summary>The bytes and zeros after them.</summary>
    public VBuffer<byte> KnownBytes { get; set; }

    /// <summary>The same with the zeros left out.</summary>
    public VBuffer<byte> SparseBytes { get; set; }

    public float Number { get; set; }

    public bool Truth { get; set; }

    public byte Byte { get; set; }

    public sbyte[] SignedBytes { get; set; } = [];

    public string[] Words { get; set; } = [];

    public string Name { get; set; } = "";

    public string Group { get; set; } = "";

    /// <summary>The rows, with more columns: an image, a key and keys with names, slots with names; the first of two columns "Name" is hidden.</summary>
    public static IDataView Load(MLContext mlContext, IReadOnlyList<string> images)
    {
        byte[][] files = [.. images.Select(File.ReadAllBytes)];
        ContractRow[] rows = [.. files.Select((file, i) => Create(images[i], file, i))];
        SchemaDefinition schema = SchemaDefinition.Create(typeof(ContractRow));
        schema[nameof(KnownBytes)].ColumnType = schema[nameof(SparseBytes)].ColumnType = new VectorDataViewType(NumberDataViewType.Byte, KnownSize);
        IDataView data = mlContext.Data.LoadFromEnumerable(rows, schema);

        IDataView groups = mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, 3).Select(i => Create("", [], i)), schema); // the same keys for no rows
        return mlContext.Transforms.LoadImages("Image", "", "Path")
            .Append(mlContext.Transforms.Conversion.MapValueToKey("Key", "Group"))
            .Append(mlContext.Transforms.Conversion.MapValueToKey("Keys", "Words"))
            .Append(mlContext.Transforms.Categorical.OneHotEncoding("Slots", "Group"))
            .Append(mlContext.Transforms.CopyColumns("Name", "Group"))
            .Fit(groups).Transform(data);
    }

    private const int KnownSize = 8192; // enough for the test images

    private static ContractRow Create(string path, byte[] file, int i)
    {
        byte[] padded = [.. file, .. new byte[KnownSize - file.Length]];
        int[] indices = [.. Enumerable.Range(0, KnownSize).Where(index => padded[index] != 0)];
        return new ContractRow
        {
            Path = path,
            Bytes = file,
            KnownBytes = new VBuffer<byte>(KnownSize, padded),
            SparseBytes = new VBuffer<byte>(KnownSize, indices.Length, [.. indices.Select(index => padded[index])], indices),
            Number = i,
            Truth = i % 2 == 0,
            Byte = (byte)i,
            SignedBytes = [(sbyte)-i, 7],
            Words = [$"word {i % 3}", $"word {(i + 1) % 3}"],
            Name = $"image {i}",
            Group = $"group {i % 3}",
        };
    }
}
