using System.Globalization;

namespace Siglip.Core;

/// <summary>CIFAR-10 in its official binary files, the folder <c>cifar-10-batches-bin</c>: 60,000 images of 32 x 32 pixels in ten classes.</summary>
/// <remarks>
/// Source: https://www.cs.toronto.edu/~kriz/cifar.html. A record is a byte for the class, then 1,024 bytes each of red, green and blue, row by row. The
/// training batches and the test batch are never read together.
/// </remarks>
public sealed class Cifar10Dataset : ILabeledImages
{
    /// <summary>Width and height of the images in pixels.</summary>
    public const int Side = 32;

    private const int Plane = Side * Side, RecordBytes = 1 + (3 * Plane), Classes = 10, TrainingBatches = 5;
    private const int MostRecords = 10_000; // in one file, as published
    private const int MostBytesOfNames = 4096;
    private const string NamesFile = "batches.meta.txt";

    private readonly (string Path, byte[] Records)[] _batches; // with the same number of records each
    private readonly int _first;

    private Cifar10Dataset(IReadOnlyList<string> labels, (string Path, byte[] Records)[] batches, int first, int count) =>
        (Labels, _batches, _first, Count) = (labels, batches, first, count);

    /// <inheritdoc/>
    public IReadOnlyList<string> Labels { get; }

    /// <inheritdoc/>
    public int Count { get; }

    private int RecordsPerBatch => _batches[0].Records.Length / RecordBytes;

    /// <summary>Reads the five training batches, 50,000 images as published; the test batch is not read.</summary>
    /// <param name="folder">The folder <c>cifar-10-batches-bin</c>.</param>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="FileNotFoundException">A file is missing.</exception>
    /// <exception cref="InvalidDataException">A file is cut or too long, or has a class that there is not.</exception>
    public static Cifar10Dataset OpenTraining(string folder) =>
        Open(folder, [.. Enumerable.Range(1, TrainingBatches).Select(number => $"data_batch_{number}.bin")]);

    /// <summary>Reads the test batch, 10,000 images as published.</summary>
    /// <param name="folder">The folder <c>cifar-10-batches-bin</c>.</param>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="FileNotFoundException">A file is missing.</exception>
    /// <exception cref="InvalidDataException">The file is cut or too long, or has a class that there is not.</exception>
    public static Cifar10Dataset OpenTest(string folder) => Open(folder, ["test_batch.bin"]);

    /// <summary>A part of the images, in their order; the pixels are shared.</summary>
    /// <param name="start">The first one.</param>
    /// <param name="count">Their number.</param>
    /// <exception cref="ArgumentOutOfRangeException">There are not as many images.</exception>
    public Cifar10Dataset Slice(int start, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, Count);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Count - start);
        return new Cifar10Dataset(Labels, _batches, _first + start, count);
    }

    /// <inheritdoc/>
    public int LabelOf(int index) => RecordOf(index)[0];

    /// <inheritdoc/>
    public string NameOf(int index)
    {
        CheckIndex(index);
        (int batch, int record) = Math.DivRem(_first + index, RecordsPerBatch);
        return string.Create(CultureInfo.InvariantCulture, $"image {record} of '{_batches[batch].Path}'");
    }

    /// <inheritdoc/>
    public RgbImage Load(int index)
    {
        ReadOnlySpan<byte> planes = RecordOf(index)[1..];
        byte[] pixels = new byte[3 * Plane];
        for (int i = 0; i < Plane; i++)
            (pixels[3 * i], pixels[(3 * i) + 1], pixels[(3 * i) + 2]) = (planes[i], planes[Plane + i], planes[(2 * Plane) + i]);
        return new RgbImage(Side, Side, pixels);
    }

    private static Cifar10Dataset Open(string folder, string[] files)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        if (!Directory.Exists(folder))
            throw new DirectoryNotFoundException($"The folder '{folder}' does not exist; expected CIFAR-10's folder cifar-10-batches-bin.");
        string[] missing = [.. files.Append(NamesFile).Where(file => !File.Exists(Path.Combine(folder, file)))];
        if (missing.Length > 0)
            throw new FileNotFoundException($"The folder '{folder}' lacks {string.Join(", ", missing)}; expected CIFAR-10's binary version, the folder "
                + "cifar-10-batches-bin of cifar-10-binary.tar.gz.");

        string[] labels = ReadNames(Path.Combine(folder, NamesFile));
        (string Path, byte[] Records)[] batches = [.. files.Select(file => Path.Combine(folder, file)).Select(path => (path, ReadRecords(path)))];
        foreach ((string path, byte[] records) in batches)
        {
            if (records.Length != batches[0].Records.Length)
                throw new InvalidDataException(string.Create(CultureInfo.InvariantCulture, $"'{path}' has {records.Length / RecordBytes:N0} images, "
                    + $"'{batches[0].Path}' {batches[0].Records.Length / RecordBytes:N0}; expected as many in each, so one is cut: get it again."));
        }

        return new Cifar10Dataset(labels, batches, 0, batches.Sum(batch => batch.Records.Length / RecordBytes));
    }

    private static byte[] ReadRecords(string path)
    {
        long length = new FileInfo(path).Length;
        if (length == 0 || length % RecordBytes != 0 || length / RecordBytes > MostRecords)
            throw new InvalidDataException(string.Create(CultureInfo.InvariantCulture, $"'{path}' has {length:N0} bytes, expected a multiple of "
                + $"{RecordBytes:N0} (a class and 32 x 32 pixels), at most {(long)MostRecords * RecordBytes:N0}; the file is cut or not CIFAR-10's: get it again."));
        byte[] records = File.ReadAllBytes(path);
        if (records.LongLength != length)
            throw new InvalidDataException($"'{path}' changed while it was read; start again when it is complete.");
        for (int record = 0; record < records.Length / RecordBytes; record++)
        {
            if (records[record * RecordBytes] >= Classes)
                throw new InvalidDataException(string.Create(CultureInfo.InvariantCulture, $"Image {record} of '{path}' has the class "
                    + $"{records[record * RecordBytes]}, expected 0 to {Classes - 1}; the file is damaged or not CIFAR-10's: get it again."));
        }

        return records;
    }

    private static string[] ReadNames(string path)
    {
        bool small = new FileInfo(path).Length <= MostBytesOfNames;
        string[] names = small ? [.. File.ReadLines(path).Select(line => line.Trim()).Where(line => line.Length > 0)] : [];
        return names.Length == Classes && names.Distinct().Count() == Classes
            ? names
            : throw new InvalidDataException($"'{path}' holds {(small ? $"{names.Distinct().Count()} different names" : "more than a list of names")}, expected the "
                + $"{Classes} of CIFAR-10's classes, one a line; get it again.");
    }

    private ReadOnlySpan<byte> RecordOf(int index)
    {
        CheckIndex(index);
        (int batch, int record) = Math.DivRem(_first + index, RecordsPerBatch);
        return _batches[batch].Records.AsSpan(record * RecordBytes, RecordBytes);
    }

    private void CheckIndex(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
    }
}
