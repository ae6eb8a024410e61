using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Siglip.Core;

/// <summary>An image file whose format is known and which is all there.</summary>
/// <remarks>
/// Codecs return pixels for truncated files, and for some cuts they do not even say so. Therefore the file's own structure is followed
/// from its beginning to its end mark before anything is decoded.
/// </remarks>
internal sealed class EncodedImage
{
    private const string Expected = "expected a JPEG, PNG, WebP, GIF or BMP file";

    private EncodedImage(string format, ReadOnlyMemory<byte> bytes, GifFile? gif) => (Format, Bytes, Gif) = (format, bytes, gif);

    /// <summary>JPEG, PNG, WebP, GIF or BMP.</summary>
    public string Format { get; }

    public ReadOnlyMemory<byte> Bytes { get; }

    /// <summary>Where a GIF file has its first frame; null for other formats.</summary>
    public GifFile? Gif { get; }

    /// <summary>The EXIF data of a PNG file, empty if it has none. Of the other formats the codec reads them.</summary>
    public ReadOnlySpan<byte> PngExif => PngChunk(Bytes.Span, "eXIf"u8) is { } range ? Bytes.Span[range] : default;

    public static EncodedImage Parse(ReadOnlyMemory<byte> bytes, string source)
    {
        ReadOnlySpan<byte> data = bytes.Span;
        if (data.IsEmpty)
            throw new InvalidDataException($"{source} is empty (0 bytes), {Expected}. Copy or download it again.");
        if (FormatOf(data) is not { } format)
        {
            throw new InvalidDataException(
                $"{source} is no image that can be read: {Beginning(data)}, {Expected}. Convert or remove it.");
        }

        GifFile? gif = format == "GIF" ? GifFile.Parse(data) : null;
        bool complete = format switch
        {
            "JPEG" => JpegIsComplete(data),
            "PNG" => PngChunk(data, "IEND"u8) is not null,
            "WebP" => data.Length - 8L >= BinaryPrimitives.ReadUInt32LittleEndian(data[4..]),
            "GIF" => gif is not null,
            _ => BmpIsComplete(data),
        };
        if (!complete)
        {
            throw new InvalidDataException(string.Create(
                CultureInfo.InvariantCulture,
                $"{source} is a truncated {format} file: its {bytes.Length:N0} bytes end before the image does. Copy or download it again."));
        }

        return new EncodedImage(format, bytes, gif);
    }

    private static string? FormatOf(ReadOnlySpan<byte> data) =>
        data.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xD8, 0xFF]) ? "JPEG"
        : data.StartsWith((ReadOnlySpan<byte>)[0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A]) ? "PNG"
        : data.StartsWith("GIF87a"u8) || data.StartsWith("GIF89a"u8) ? "GIF"
        : data.Length >= 12 && data.StartsWith("RIFF"u8) && data[8..].StartsWith("WEBP"u8) ? "WebP"
        : IsBmp(data) ? "BMP"
        : null;

    // Two letters are a weak sign, so the length of the second header is looked at as well.
    private static bool IsBmp(ReadOnlySpan<byte> data) =>
        data.StartsWith("BM"u8)
        && (data.Length < 18 || BinaryPrimitives.ReadInt32LittleEndian(data[14..]) is 12 or 40 or 52 or 56 or 64 or 108 or 124);

    private static string Beginning(ReadOnlySpan<byte> data)
    {
        ReadOnlySpan<byte> beginning = data[..Math.Min(data.Length, 16)];
        return beginning.IndexOfAnyExceptInRange((byte)' ', (byte)'~') is -1 or > 3
            ? $"it begins with the text \"{Encoding.ASCII.GetString(beginning)}\""
            : $"it begins with the bytes {Convert.ToHexString(beginning)}";
    }

    // Markers FF xx, most of them with a length; coded data follow a start of scan, and in them FF is followed by 0 or a restart marker.
    private static bool JpegIsComplete(ReadOnlySpan<byte> data)
    {
        const byte EndOfImage = 0xD9;
        int position = 2;
        while (true)
        {
            int next = position < data.Length ? data[position..].IndexOf((byte)0xFF) : -1;
            if (next < 0)
                return false;
            position += next;
            while (position < data.Length && data[position] == 0xFF)
                position++;
            if (position >= data.Length)
                return false;
            byte marker = data[position++];
            if (marker == EndOfImage)
                return true;
            if (marker is 0 or 1 or (>= 0xD0 and <= 0xD8))
                continue;
            if (position + 2 > data.Length)
                return false;
            position += BinaryPrimitives.ReadUInt16BigEndian(data[position..]);
        }
    }

    // Chunks: length, type, data, checksum; the last one is IEND. The data of the first chunk of a type, null if there is no whole one.
    private static Range? PngChunk(ReadOnlySpan<byte> data, ReadOnlySpan<byte> type)
    {
        const int TypeEnd = 8, ChecksumLength = 4;
        long position = 8;
        while (position + TypeEnd + ChecksumLength <= data.Length)
        {
            ReadOnlySpan<byte> chunk = data[(int)position..];
            long end = position + TypeEnd + BinaryPrimitives.ReadUInt32BigEndian(chunk);
            if (end + ChecksumLength > data.Length)
                return null;
            if (chunk[4..].StartsWith(type))
                return (int)(position + TypeEnd)..(int)end;
            position = end + ChecksumLength;
        }

        return null;
    }

    // The bytes before the pixels are counted, then the pixels: writers are careless with the file size in the header.
    private static bool BmpIsComplete(ReadOnlySpan<byte> data)
    {
        const int OldHeaderLength = 12, Uncompressed = 0, WithMasks = 3, WithAlphaMasks = 6;
        if (data.Length < 26)
            return false;
        long pixels = BinaryPrimitives.ReadUInt32LittleEndian(data[10..]);
        if (BinaryPrimitives.ReadInt32LittleEndian(data[14..]) == OldHeaderLength)
        {
            int oldWidth = BinaryPrimitives.ReadUInt16LittleEndian(data[18..]);
            int oldHeight = BinaryPrimitives.ReadUInt16LittleEndian(data[20..]);
            return pixels + BmpLength(oldWidth, oldHeight, BinaryPrimitives.ReadUInt16LittleEndian(data[24..])) <= data.Length;
        }

        if (data.Length < 54)
            return false;
        long width = BinaryPrimitives.ReadInt32LittleEndian(data[18..]), height = BinaryPrimitives.ReadInt32LittleEndian(data[22..]);
        int bitsPerPixel = BinaryPrimitives.ReadUInt16LittleEndian(data[28..]);
        long length = BinaryPrimitives.ReadInt32LittleEndian(data[30..]) is Uncompressed or WithMasks or WithAlphaMasks
            ? BmpLength(width, height, bitsPerPixel)
            : BinaryPrimitives.ReadUInt32LittleEndian(data[34..]);
        return pixels + length <= data.Length;
    }

    // Rows are padded to 4 bytes; a negative height means that the top row comes first.
    private static long BmpLength(long width, long height, int bitsPerPixel) => ((width * bitsPerPixel) + 31) / 32 * 4 * Math.Abs(height);
}
