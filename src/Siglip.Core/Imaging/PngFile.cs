using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace Siglip.Core;

/// <summary>The chunks of a PNG file.</summary>
/// <remarks>Source: W3C, Portable Network Graphics specification.</remarks>
internal sealed class PngFile(ReadOnlyMemory<byte> bytes, string source) : EncodedImage("PNG", bytes, source)
{
    private const int Depth = 8, Colour = 9; // places in the header
    private const byte Grey = 0, Palette = 3, GreyWithAlpha = 4;

    public static ReadOnlySpan<byte> Signature => [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A];

    public override ReadOnlyMemory<byte> ForCodec
    {
        get
        {
            if (HasLongGreyLevels)
                return WithLowBytesInAlpha();
            return Header is { IsEmpty: false } header && header.Span[Colour] == Palette ? WithWholePalette(header.Span[Depth]) : Bytes;
        }
    }

    public override int Orientation
    {
        get
        {
            ReadOnlySpan<byte> profileName = "Raw profile type exif\0"u8, xmpName = "XML:com.adobe.xmp\0\0\0"u8; // of iTXt: not compressed
            ReadOnlySpan<byte> exif = default, xmp = default;
            Chunk? profile = null;
            foreach (Chunk chunk in Chunks())
            {
                ReadOnlySpan<byte> data = chunk.Data.Span;
                if (chunk.Is("eXIf"u8))
                    exif = data;
                else if ((chunk.Is("tEXt"u8) || chunk.Is("zTXt"u8)) && data.StartsWith(profileName))
                    profile = chunk;
                else if (chunk.Is("iTXt"u8) && data.StartsWith(xmpName))
                    xmp = data[xmpName.Length..];
            }

            if (exif.IsEmpty && profile is { } text)
                exif = FromHexadecimal(text.Is("tEXt"u8) ? text.Data.Span[profileName.Length..] : Inflate(text.Data[profileName.Length..]));
            return ExifOrientation.Read(exif, xmp);
        }
    }

    protected override bool IsComplete => Chunks().Any(chunk => chunk.Is("IEND"u8));

    // Empty if the codec will refuse it.
    private ReadOnlyMemory<byte> Header =>
        Chunks().First() is { Data.Length: 13 } first && first.Is("IHDR"u8) && first.IsIntact ? first.Data : default;

    private bool HasLongGreyLevels => Header is { IsEmpty: false } header && header.Span[Depth] == 16 && header.Span[Colour] == Grey;

    public override void Correct(Span<byte> rgba)
    {
        if (!HasLongGreyLevels)
            return;
        for (int i = 0; i < rgba.Length; i += 4)
        {
            // Pillow does not scale 16-bit grey levels, it clips them.
            if (rgba[i] != 0)
                rgba.Slice(i, 3).Fill(255);
            else
                rgba.Slice(i, 3).Fill(rgba[i + 3]);
        }
    }

    // A 16-bit grey level is two bytes, as grey and alpha of 8 bits are. Read so, it comes out of the codec unscaled, the high byte in
    // the colours and the low byte in alpha.
    private ReadOnlyMemory<byte> WithLowBytesInAlpha()
    {
        byte[] changed = Header.ToArray();
        (changed[Depth], changed[Colour]) = (8, GreyWithAlpha);
        var file = new MemoryStream(Bytes.Length);
        file.Write(Signature);
        WriteChunk(file, "IHDR"u8, changed);
        foreach (Chunk chunk in Chunks())
        {
            // The others would not fit the new header.
            if (chunk.Is("IDAT"u8) || chunk.Is("IEND"u8))
                file.Write(chunk.Whole.Span);
        }

        return file.GetBuffer().AsMemory(0, (int)file.Length);
    }

    // Pixels beyond the end of the palette are black in Pillow; the codec takes other colours.
    private ReadOnlyMemory<byte> WithWholePalette(int depth)
    {
        int length = 3 << Math.Min(depth, 8), position = Signature.Length;
        foreach (Chunk chunk in Chunks())
        {
            if (chunk.Is("PLTE"u8))
            {
                if (chunk.Data.Length >= length || chunk.Data.Length % 3 != 0 || !chunk.IsIntact)
                    return Bytes;
                var palette = new byte[length];
                chunk.Data.CopyTo(palette);
                var file = new MemoryStream(Bytes.Length + length);
                file.Write(Bytes.Span[..position]);
                WriteChunk(file, "PLTE"u8, palette);
                file.Write(Bytes.Span[(position + chunk.Whole.Length)..]);
                return file.GetBuffer().AsMemory(0, (int)file.Length);
            }

            position += chunk.Whole.Length;
        }

        return Bytes;
    }

    // Chunks: length, type, data, checksum; the last one is IEND. Ends before one that is cut.
    private IEnumerable<Chunk> Chunks()
    {
        ReadOnlyMemory<byte> rest = Bytes[Signature.Length..];
        while (rest.Length >= Chunk.Frame)
        {
            long length = Chunk.Frame + (long)BinaryPrimitives.ReadUInt32BigEndian(rest.Span);
            if (length > rest.Length)
                yield break;
            var chunk = new Chunk(rest[..(int)length]);
            yield return chunk;
            if (chunk.Is("IEND"u8))
                yield break;
            rest = rest[(int)length..];
        }
    }

    private static void WriteChunk(MemoryStream file, ReadOnlySpan<byte> type, ReadOnlySpan<byte> data)
    {
        Span<byte> number = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(number, data.Length);
        file.Write(number);
        file.Write(type);
        file.Write(data);
        BinaryPrimitives.WriteUInt32BigEndian(number, Checksum([.. type, .. data]));
        file.Write(number);
    }

    // CRC-32 as in annex D of the specification; for short chunks only, so without a table.
    private static uint Checksum(ReadOnlySpan<byte> typeAndData)
    {
        uint crc = uint.MaxValue;
        foreach (byte value in typeAndData)
        {
            crc ^= value;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc >> 1) ^ ((crc & 1) * 0xEDB88320);
        }

        return ~crc;
    }

    // A byte for the method, of which there is one, then the compressed text.
    private static ReadOnlySpan<byte> Inflate(ReadOnlyMemory<byte> compressed)
    {
        const int MaxText = 1 << 20; // as in Pillow, so that a small file cannot become a large text
        try
        {
            using var stream = new ZLibStream(
                new MemoryStream(compressed.Span[Math.Min(1, compressed.Length)..].ToArray()), CompressionMode.Decompress);
            var text = new byte[MaxText];
            return text.AsSpan(0, stream.ReadAtLeast(text, MaxText, throwOnEndOfStream: false));
        }
        catch (InvalidDataException)
        {
            return default; // damaged metadata are as none
        }
    }

    // ImageMagick's profiles: an empty line, a line with the name, one with the length, lines of hexadecimal digits.
    private static byte[] FromHexadecimal(ReadOnlySpan<byte> profile)
    {
        for (int line = 0; line < 3; line++)
            profile = profile[(profile.IndexOf((byte)'\n') + 1)..];
        string digits = Encoding.ASCII.GetString(profile).ReplaceLineEndings("");
        try
        {
            return Convert.FromHexString(digits);
        }
        catch (FormatException)
        {
            return [];
        }
    }

    private readonly record struct Chunk(ReadOnlyMemory<byte> Whole)
    {
        /// <summary>Length, type and checksum.</summary>
        public const int Frame = 12;

        public ReadOnlyMemory<byte> Data => Whole[8..^4];

        public bool IsIntact => Checksum(Whole.Span[4..^4]) == BinaryPrimitives.ReadUInt32BigEndian(Whole.Span[^4..]);

        public bool Is(ReadOnlySpan<byte> type) => Whole.Span[4..].StartsWith(type);
    }
}
