using System.Buffers.Binary;
using System.Numerics;

namespace Siglip.Core;

/// <summary>A BMP file, decoded here: the codec rounds the levels of 16-bit pixels differently and reads some run lengths differently.</summary>
/// <remarks>Source: Microsoft, Bitmap Storage; the pixels as Pillow's BmpImagePlugin.py has them.</remarks>
internal sealed class BmpFile(ReadOnlyMemory<byte> bytes, string source) : EncodedImage("BMP", bytes, source)
{
    private const int FileHeader = 14, OldHeader = 12, ShortHeader = 40;
    private const int Uncompressed = 0, RunLengths8 = 1, RunLengths4 = 2, WithMasks = 3, WithAlphaMasks = 6;

    private bool IsOld => Int32(14) == OldHeader;

    private int Header => Int32(14);

    private int Width => IsOld ? UInt16(18) : Int32(18);

    // Negative if the top row comes first.
    private int SignedHeight => IsOld ? UInt16(20) : Int32(22);

    private int BitsPerPixel => UInt16(IsOld ? 24 : 28);

    private int Compression => IsOld ? Uncompressed : Int32(30);

    private bool HasMasks => Compression is WithMasks or WithAlphaMasks;

    private bool HasRunLengths => Compression is RunLengths8 or RunLengths4;

    // In old files the colours are those that the bits can tell apart, and take 3 bytes each.
    private uint Colours => !IsOld && UInt32(46) is > 0 and { } used ? used : 1u << Math.Min(BitsPerPixel, 31);

    private int PaletteEntry => IsOld ? 3 : 4;

    // Masks are part of the longer headers and follow the short one.
    private int Palette => FileHeader + Header + (Header != ShortHeader ? 0 : Compression switch { WithMasks => 12, WithAlphaMasks => 16, _ => 0 });

    // Some writers forget the palette, or everything, when they count the bytes before the pixels.
    private long Pixels
    {
        get
        {
            uint offset = UInt32(10);
            long palette = BitsPerPixel <= 8 ? PaletteEntry * (long)Colours : 0;
            return offset == 0 ? Palette + palette : offset == FileHeader + Header ? offset + palette : offset;
        }
    }

    private long Stride => (((long)Width * BitsPerPixel) + 31) / 32 * 4;

    // The bytes before the pixels are counted, then the pixels: writers are careless with the file size in the header.
    protected override bool IsComplete
    {
        get
        {
            if (Bytes.Length < FileHeader + 4 || Bytes.Length < FileHeader + Header || Bytes.Length < Palette)
                return false;
            return Pixels + (HasRunLengths ? UInt32(34) : Stride * Math.Abs((long)SignedHeight)) <= Bytes.Length;
        }
    }

    public RgbImage Decode()
    {
        if (Width < 1 || SignedHeight is 0 or int.MinValue)
            throw Damaged("its header cannot be read");
        int width = Width, height = Math.Abs(SignedHeight);
        ImageDecoder.CheckSize(width, height, Source);
        if (Compression is not (Uncompressed or RunLengths8 or RunLengths4) && !HasMasks)
            throw Unsupported($"compression {Compression}", "pixels, run lengths or colour masks");
        int[] depths = Compression switch { Uncompressed => [1, 2, 4, 8, 16, 24, 32], RunLengths8 => [8], RunLengths4 => [4], _ => [16, 24, 32] };
        if (!depths.Contains(BitsPerPixel))
            throw Unsupported($"{BitsPerPixel} bits a pixel", string.Join(", ", depths));

        byte[]? indices = HasRunLengths ? ExpandRunLengths(width, height) : null;
        var pixels = new byte[width * height * 3];
        if (BitsPerPixel > 8)
        {
            Channel[] channels = Channels();
            ForEachRow(pixels, width, height, (row, rgb) => ReadChannels(row, channels, BitsPerPixel / 8, rgb));
        }
        else
        {
            byte[] palette = ReadPalette();
            int bits = indices is not null ? 8 : LooksLikeOneBit(palette) ? 1 : BitsPerPixel;
            ForEachRow(pixels, width, height, (row, rgb) => ReadIndices(row, palette, bits, rgb), indices);
        }

        return new RgbImage(width, height, pixels);
    }

    private delegate void RowReader(ReadOnlySpan<byte> row, Span<byte> rgb);

    private void ForEachRow(byte[] pixels, int width, int height, RowReader read, byte[]? indices = null)
    {
        bool fromTheTop = SignedHeight < 0;
        for (int y = 0; y < height; y++)
        {
            ReadOnlySpan<byte> row = indices is not null
                ? indices.AsSpan(width * y, width)
                : Bytes.Span.Slice((int)(Pixels + (Stride * y)), (int)Stride);
            read(row, pixels.AsSpan((fromTheTop ? y : height - 1 - y) * width * 3, width * 3));
        }
    }

    private static void ReadChannels(ReadOnlySpan<byte> row, Channel[] channels, int pixelBytes, Span<byte> rgb)
    {
        for (int from = 0, to = 0; to < rgb.Length; from += pixelBytes, to += 3)
        {
            uint pixel = pixelBytes switch
            {
                2 => BinaryPrimitives.ReadUInt16LittleEndian(row[from..]),
                3 => row[from] | ((uint)row[from + 1] << 8) | ((uint)row[from + 2] << 16),
                _ => BinaryPrimitives.ReadUInt32LittleEndian(row[from..]),
            };
            for (int channel = 0; channel < 3; channel++)
                rgb[to + channel] = channels[channel].LevelOf(pixel);
        }
    }

    private static void ReadIndices(ReadOnlySpan<byte> row, ReadOnlySpan<byte> palette, int bits, Span<byte> rgb)
    {
        int perByte = 8 / bits;
        for (int x = 0; x * 3 < rgb.Length; x++)
        {
            int index = (row[x / perByte] >> (8 - bits - (x % perByte * bits))) & ((1 << bits) - 1);
            palette.Slice(index * 3, 3).CopyTo(rgb[(x * 3)..]);
        }
    }

    private Channel[] Channels()
    {
        uint[] masks = BitsPerPixel == 16 ? [0x7C00, 0x3E0, 0x1F] : [0xFF0000, 0xFF00, 0xFF];
        if (HasMasks)
        {
            const int Masks = FileHeader + ShortHeader;
            uint[] own = [UInt32(Masks), UInt32(Masks + 4), UInt32(Masks + 8)];
            if (BitsPerPixel != 32 || own.Any(mask => mask != 0))
                masks = own;
        }

        return [.. masks.Select(mask => Channel.Of(mask)
            ?? throw Unsupported($"the colour mask 0x{mask:X}", "bits side by side"))];
    }

    // Blue, green, red and perhaps a byte without meaning. Colours beyond the end are black, or grey where all colours before are so.
    private byte[] ReadPalette()
    {
        var palette = new byte[256 * 3];
        ReadOnlySpan<byte> stored = Bytes.Span[Palette..];
        int count = (int)Math.Min(Math.Min(Colours, 256), stored.Length / PaletteEntry);
        bool isRamp = true;
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> entry = stored.Slice(i * PaletteEntry, 3);
            (palette[i * 3], palette[(i * 3) + 1], palette[(i * 3) + 2]) = (entry[2], entry[1], entry[0]);
            isRamp &= !entry.ContainsAnyExcept((byte)i);
        }

        for (int i = count; isRamp && i < 256; i++)
            palette.AsSpan(i * 3, 3).Fill((byte)i);
        return palette;
    }

    // Pillow reads any file whose two colours are black and white as one of one bit a pixel.
    private bool LooksLikeOneBit(ReadOnlySpan<byte> palette) =>
        Colours == 2 && palette[..6].SequenceEqual((ReadOnlySpan<byte>)[0, 0, 0, 255, 255, 255]);

    // A stream of pixels in which lines matter only to an end of line and to a run: as in Pillow.
    private byte[] ExpandRunLengths(int width, int height)
    {
        const int EndOfLine = 0, EndOfImage = 1, Step = 2;
        ReadOnlySpan<byte> data = Bytes.Span;
        var indices = new byte[width * height];
        bool halves = Compression == RunLengths4;
        int filled = 0, position = (int)Pixels, x = 0;
        while (filled < indices.Length)
        {
            if (position + 2 > data.Length)
                break;
            int count = data[position], value = data[position + 1];
            position += 2;
            if (count > 0)
            {
                // A run, cut at the end of the line: one index again and again, or two by turns.
                Span<byte> run = indices.AsSpan(filled, Math.Clamp(width - x, 0, Math.Min(count, indices.Length - filled)));
                for (int i = 0; i < run.Length; i++)
                    run[i] = (byte)(!halves ? value : i % 2 == 0 ? value >> 4 : value & 15);
                filled += run.Length;
                x += run.Length;
            }
            else if (value == EndOfLine)
            {
                filled += (width - (filled % width)) % width;
                x = 0;
            }
            else if (value == EndOfImage)
            {
                break;
            }
            else if (value == Step)
            {
                if (position + 2 > data.Length)
                    break;
                filled = (int)Math.Min(indices.Length, filled + data[position] + ((long)data[position + 1] * width));
                position += 2;
                x = filled % width;
            }
            else
            {
                // So many indices as they are, padded to an even place in the file.
                Span<byte> literal = indices.AsSpan(filled, Math.Min(value, indices.Length - filled));
                int length = halves ? (literal.Length + 1) / 2 : literal.Length;
                if (position + length > data.Length)
                    break;
                for (int i = 0; i < literal.Length; i++)
                    literal[i] = !halves ? data[position + i] : (byte)(i % 2 == 0 ? data[position + (i / 2)] >> 4 : data[position + (i / 2)] & 15);
                filled += literal.Length;
                x += value;
                position += length;
                position += position % 2;
            }
        }

        return filled == indices.Length ? indices : throw Damaged("pixels are missing in it");
    }

    private int UInt16(int position) => BinaryPrimitives.ReadUInt16LittleEndian(Bytes.Span[position..]);

    private int Int32(int position) => BinaryPrimitives.ReadInt32LittleEndian(Bytes.Span[position..]);

    private uint UInt32(int position) => BinaryPrimitives.ReadUInt32LittleEndian(Bytes.Span[position..]);

    private InvalidDataException Unsupported(string found, string expected) =>
        new($"{Source} is a BMP file with {found}, expected {expected}. Convert it to PNG.");

    /// <summary>Which bits of a pixel are a channel, and what levels they mean.</summary>
    private readonly record struct Channel(int Shift, byte[] Levels)
    {
        /// <summary>Null for masks that are not bits side by side. Of more than 8 bits the lower ones are dropped.</summary>
        public static Channel? Of(uint mask)
        {
            int shift = BitOperations.TrailingZeroCount(mask), bits = BitOperations.PopCount(mask);
            if (bits == 0 || (ulong)mask >> shift != (1ul << bits) - 1)
                return null;
            int highest = (1 << Math.Min(bits, 8)) - 1;
            return new Channel(shift + Math.Max(bits - 8, 0), [.. Enumerable.Range(0, highest + 1).Select(value => (byte)(value * 255 / highest))]);
        }

        public byte LevelOf(uint pixel) => Levels[(pixel >> Shift) & (uint)(Levels.Length - 1)];
    }
}
