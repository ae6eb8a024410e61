using System.Buffers.Binary;

namespace Siglip.Core;

/// <summary>The markers of a JPEG file.</summary>
internal sealed class JpegFile(ReadOnlyMemory<byte> bytes, string source) : EncodedImage("JPEG", bytes, source)
{
    private const byte EndOfImage = 0xD9, StartOfScan = 0xDA, App1 = 0xE1;

    public override int Orientation
    {
        get
        {
            ReadOnlySpan<byte> exifName = "Exif\0\0"u8, xmpName = "http://ns.adobe.com/xap/1.0/\0"u8;
            ReadOnlySpan<byte> exif = default, xmp = default;
            int position = 2;
            while (NextMarker(Bytes.Span, ref position, out ReadOnlySpan<byte> content) is { } marker and not StartOfScan and not EndOfImage)
            {
                if (marker != App1)
                    continue;
                if (exif.IsEmpty && content.StartsWith(exifName))
                    exif = content[exifName.Length..];
                else if (content.StartsWith(xmpName))
                    xmp = content[xmpName.Length..];
            }

            return ExifOrientation.Read(exif, xmp);
        }
    }

    protected override bool IsComplete
    {
        get
        {
            int position = 2;
            while (NextMarker(Bytes.Span, ref position, out _) is { } marker)
            {
                if (marker == EndOfImage)
                    return true;
            }

            return false;
        }
    }

    // Markers FF xx, most of them with a length; coded data follow a start of scan, and in them FF is followed by 0 or a restart marker.
    // Null at the end of the data; the content of a marker may be cut there.
    private static byte? NextMarker(ReadOnlySpan<byte> data, scoped ref int position, out ReadOnlySpan<byte> content)
    {
        content = default;
        while (true)
        {
            int next = position < data.Length ? data[position..].IndexOf((byte)0xFF) : -1;
            if (next < 0)
                return null;
            position += next;
            while (position < data.Length && data[position] == 0xFF)
                position++;
            if (position >= data.Length)
                return null;
            byte marker = data[position++];
            if (marker == EndOfImage)
                return marker;
            if (marker is 0 or 1 or (>= 0xD0 and <= 0xD8))
                continue;
            if (position + 2 > data.Length)
                return null;
            int length = BinaryPrimitives.ReadUInt16BigEndian(data[position..]);
            content = length > 2 ? data[(position + 2)..Math.Max(position + 2, Math.Min(position + length, data.Length))] : default;
            position += length;
            return marker;
        }
    }
}
