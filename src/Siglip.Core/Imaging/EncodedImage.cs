using System.Buffers.Binary;
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

    private EncodedImage(string format, ReadOnlyMemory<byte> bytes) => (Format, Bytes) = (format, bytes);

    /// <summary>JPEG, PNG, WebP, GIF or BMP.</summary>
    public string Format { get; }

    public ReadOnlyMemory<byte> Bytes { get; }

    public static EncodedImage Parse(ReadOnlyMemory<byte> bytes, string source)
    {
        ReadOnlySpan<byte> data = bytes.Span;
        if (data.IsEmpty)
            throw new InvalidDataException($"{source} is empty (0 bytes), {Expected}. Copy or download it again.");
        string format = FormatOf(data)
            ?? throw new InvalidDataException($"{source} is no image that can be read: {Beginning(data)}, {Expected}. Convert or remove it.");
        var file = new EncodedImage(format, bytes);
        bool complete = format switch
        {
            "JPEG" => JpegIsComplete(data),
            "PNG" => PngIsComplete(data),
            "WebP" => data.Length - 8L >= BinaryPrimitives.ReadUInt32LittleEndian(data[4..]),
            "GIF" => GifIsComplete(data),
            _ => BmpIsComplete(data),
        };
        return complete ? file : throw Truncated(file, source);
    }

    public static InvalidDataException Truncated(EncodedImage file, string source) =>
        new($"{source} is a truncated {file.Format} file: its {file.Bytes.Length:N0} bytes end before the image does. Copy or download it again.");

    private static string? FormatOf(ReadOnlySpan<byte> data) =>
        data.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xD8, 0xFF]) ? "JPEG"
        : data.StartsWith((ReadOnlySpan<byte>)[0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A]) ? "PNG"
        : data.StartsWith("GIF87a"u8) || data.StartsWith("GIF89a"u8) ? "GIF"
        : data.Length >= 12 && data.StartsWith("RIFF"u8) && data[8..].StartsWith("WEBP"u8) ? "WebP"
        : data.StartsWith("BM"u8) ? "BMP"
        : null;

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

    // Chunks: length, type, data, checksum; the last one is IEND.
    private static bool PngIsComplete(ReadOnlySpan<byte> data)
    {
        long position = 8;
        while (position + 12 <= data.Length)
        {
            ReadOnlySpan<byte> chunk = data[(int)position..];
            position += 12L + BinaryPrimitives.ReadUInt32BigEndian(chunk);
            if (chunk[4..].StartsWith("IEND"u8))
                return position <= data.Length;
        }

        return false;
    }

    private static bool GifIsComplete(ReadOnlySpan<byte> data) => data.Length > 0;

    private static bool BmpIsComplete(ReadOnlySpan<byte> data) => data.Length > 0;
}
