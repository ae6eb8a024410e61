using System.Buffers.Binary;

namespace Siglip.Core;

/// <summary>The chunks of a WebP file.</summary>
internal sealed class WebPFile(ReadOnlyMemory<byte> bytes, string source) : EncodedImage("WebP", bytes, source)
{
    private const int FirstChunk = 12, ChunkHeader = 8;

    public override int Orientation
    {
        get
        {
            // The first chunk says which metadata there are; libwebp looks for no others.
            const byte HasExif = 8, HasXmp = 4;
            ReadOnlySpan<byte> data = Bytes.Span, header = Chunk(data, "VP8X"u8);
            if (header.IsEmpty)
                return ExifOrientation.Upright;
            return ExifOrientation.Read(
                (header[0] & HasExif) != 0 ? Chunk(data, "EXIF"u8) : default,
                (header[0] & HasXmp) != 0 ? Chunk(data, "XMP "u8) : default);
        }
    }

    protected override bool IsComplete => Bytes.Length - 8L >= BinaryPrimitives.ReadUInt32LittleEndian(Bytes.Span[4..]);

    // Chunks: type, length, data, padding to an even length. The data of the first chunk of a type, empty if there is no whole one.
    private static ReadOnlySpan<byte> Chunk(ReadOnlySpan<byte> data, ReadOnlySpan<byte> type)
    {
        long position = FirstChunk;
        while (position + ChunkHeader <= data.Length)
        {
            ReadOnlySpan<byte> chunk = data[(int)position..];
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(chunk[4..]);
            if (length > chunk.Length - ChunkHeader)
                return default;
            if (chunk.StartsWith(type))
                return chunk.Slice(ChunkHeader, (int)length);
            position += ChunkHeader + length + (length & 1);
        }

        return default;
    }
}
