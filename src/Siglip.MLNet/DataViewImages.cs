using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;
using Siglip.MLNet.Internals;

namespace Siglip.MLNet;

/// <summary>The labelled images of a data view, to train on: rows are read once, in order; images are decoded whenever they are asked for.</summary>
/// <remarks>
/// Training reads images in random order, which a data view does not give. So paths, or encoded images, are kept; an <see cref="MLImage"/> is valid until the
/// next row only, so its pixels are kept, up to a limit.
/// </remarks>
internal sealed class DataViewImages : ILabeledImages
{
    public const string ExpectedLabel = "a key of at most 1048576 classes (use MapValueToKey first)";
    public const int MaxClasses = 1 << 20;

    private readonly ImageSource _source;
    private readonly ImageColumnKind _kind;
    private readonly List<(long Row, int Label)> _rows = []; // by slot
    private readonly List<RgbImage?> _pixels = []; // by slot, of MLImage columns
    private readonly Dictionary<int, Exception> _faults = []; // by slot

    private DataViewImages(ImageSource source, ImageColumnKind kind, IReadOnlyList<string> labels, LabelValues? labelValues) =>
        (_source, _kind, Labels, LabelValues) = (source, kind, labels, labelValues);

    /// <summary>The values that the keys stand for; without them, numbers from 0.</summary>
    public IReadOnlyList<string> Labels { get; }

    public int Count => _rows.Count;

    /// <summary>What <see cref="Labels"/> are the text of; null if the label column does not tell the values of its keys.</summary>
    public LabelValues? LabelValues { get; }

    /// <summary>Rows whose label is missing; they are left out, as ML.NET's trainers do.</summary>
    public int WithoutLabel { get; private set; }

    /// <summary>Checks the columns.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of a wrong type.</exception>
    public static void Check(DataViewSchema schema, string labelColumnName, string imageColumnName)
    {
        LabelOf(schema, labelColumnName);
        ImageOf(schema, imageColumnName);
    }

    /// <summary>Reads the rows.</summary>
    /// <param name="data">The data view; its cursor is moved once.</param>
    /// <param name="labelColumnName">A column of keys.</param>
    /// <param name="imageColumnName">A column of images, encoded images or paths.</param>
    /// <param name="imageFolder">Where relative paths start; null for the current folder.</param>
    /// <param name="applyExifOrientation">Whether images are turned as their EXIF data say; not those that are decoded already.</param>
    /// <param name="maxMemory">The most bytes that decoded images (<see cref="MLImage"/>) may take.</param>
    /// <param name="cancellationToken">Ends it before the next row.</param>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of a wrong type.</exception>
    /// <exception cref="InvalidOperationException">The decoded images take too much memory.</exception>
    public static DataViewImages Read(
        IDataView data, string labelColumnName, string imageColumnName, string? imageFolder = null, bool applyExifOrientation = false, long maxMemory = 1L << 30,
        CancellationToken cancellationToken = default)
    {
        (DataViewSchema.Column label, KeyDataViewType key) = LabelOf(data.Schema, labelColumnName);
        (DataViewSchema.Column image, ImageColumnKind kind) = ImageOf(data.Schema, imageColumnName);
        using DataViewRowCursor cursor = data.GetRowCursor([label, image]);
        var values = LabelValues.Of(label);
        var source = ImageSource.Create(ImageGetter(cursor, image, kind), kind, imageFolder, new ImageReading(applyExifOrientation));
        var images = new DataViewImages(source, kind, LabelValues.NamesOf(values, (int)key.Count), values);
        images.Read(cursor, KeyGetter(cursor, label), image.Name, maxMemory, cancellationToken);
        return images;
    }

    public int LabelOf(int index) => _rows[index].Label;

    public string NameOf(int index)
    {
        string row = string.Create(CultureInfo.InvariantCulture, $"row {_rows[index].Row}");
        return _kind == ImageColumnKind.Path && !_faults.ContainsKey(index) && _source.NameOf(index) is { } path ? $"'{path}' ({row})" : $"the image of {row}";
    }

    public RgbImage Load(int index)
    {
        if (_faults.TryGetValue(index, out Exception? fault))
            throw Bad(index, fault);
        if (_kind == ImageColumnKind.Image)
            return _pixels[index]!;
        try
        {
            return Decode(index);
        }
        catch (Exception e) when (ImageBatch.IsOfImage(e) && e is not IOException) // which names the file
        {
            throw Bad(index, e);
        }
    }

    private static (DataViewSchema.Column Column, KeyDataViewType Type) LabelOf(DataViewSchema schema, string name)
    {
        DataViewSchema.Column column = schema.GetColumnOrNull(name) ?? throw Environments.MissingColumn(nameof(schema), name);
        return column.Type is KeyDataViewType { Count: <= MaxClasses } key
            ? (column, key)
            : throw Environments.SchemaMismatch(nameof(schema), name, ExpectedLabel, column.Type.ToString()!);
    }

    private static (DataViewSchema.Column Column, ImageColumnKind Kind) ImageOf(DataViewSchema schema, string name)
    {
        DataViewSchema.Column column = schema.GetColumnOrNull(name) ?? throw Environments.MissingColumn(nameof(schema), name);
        return (column, FeaturizedSchema.KindOf(column.Type)
            ?? throw Environments.SchemaMismatch(nameof(schema), name, FeaturizedSchema.ExpectedTypes, column.Type.ToString()!));
    }

    private void Read(DataViewRowCursor cursor, Func<ulong> key, string column, long maxMemory, CancellationToken cancellationToken)
    {
        long bytes = 0;
        while (cursor.MoveNext())
        {
            cancellationToken.ThrowIfCancellationRequested();
            ulong label = key();
            if (label == 0 || label > (ulong)Labels.Count)
            {
                WithoutLabel++;
                continue;
            }

            int slot = _rows.Count;
            _rows.Add((cursor.Position, (int)(label - 1)));
            RgbImage? pixels = ReadImage(slot);
            bytes += pixels?.Data.Length ?? 0;
            if (bytes > maxMemory)
                throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture, $"The first {Count:N0} images of column '{column}' take {bytes:N0} bytes, "
                    + $"at most {maxMemory:N0} are kept; name a column of paths or of encoded images instead, of which each image is decoded when it is needed."));
            _pixels.Add(pixels);
        }
    }

    // A bad image is an error when it is asked for, so that the training decides whether to skip it.
    private RgbImage? ReadImage(int slot)
    {
        try
        {
            _source.Read(slot);
            return _kind == ImageColumnKind.Image ? Decode(slot) : null;
        }
        catch (Exception e) when (ImageBatch.IsOfImage(e))
        {
            _faults[slot] = e;
            return null;
        }
    }

    private RgbImage Decode(int slot)
    {
        using PixelRows rows = _source.Open(slot);
        return rows.ToImage();
    }

    private InvalidDataException Bad(int index, Exception fault) =>
        new(string.Create(CultureInfo.InvariantCulture, $"Row {_rows[index].Row}: {Sentences.Of(fault)}"), fault);

    private static Delegate ImageGetter(DataViewRowCursor cursor, DataViewSchema.Column column, ImageColumnKind kind) => kind switch
    {
        ImageColumnKind.Path => cursor.GetGetter<ReadOnlyMemory<char>>(column),
        ImageColumnKind.Bytes => cursor.GetGetter<VBuffer<byte>>(column),
        _ => cursor.GetGetter<MLImage>(column),
    };

    private static Func<ulong> KeyGetter(DataViewRowCursor cursor, DataViewSchema.Column column)
    {
        return column.Type.RawType switch
        {
            Type type when type == typeof(byte) => Of<byte>(value => value),
            Type type when type == typeof(ushort) => Of<ushort>(value => value),
            Type type when type == typeof(uint) => Of<uint>(value => value),
            _ => Of<ulong>(value => value),
        };

        Func<ulong> Of<T>(Func<T, ulong> widen)
        {
            ValueGetter<T> getter = cursor.GetGetter<T>(column);
            T value = default!;
            return () =>
            {
                getter(ref value);
                return widen(value);
            };
        }
    }
}
