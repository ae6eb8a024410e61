using System.Buffers.Binary;

namespace Siglip.Core;

/// <summary>The blocks of a GIF file, as far as its first frame needs them.</summary>
/// <remarks>Source: W3C, GIF89a specification; lenient where Pillow's GifImagePlugin.py is, and with its choice of the palette.</remarks>
internal sealed class GifFile : EncodedImage
{
    private const int HeaderLength = 13, DescriptorLength = 9; // a descriptor without its separator
    private const byte ExtensionIntroducer = 0x21, GraphicControl = 0xF9, ImageSeparator = 0x2C, Trailer = 0x3B;

    private readonly bool _hasTrailer;
    private Range _frame; // from the left side in its descriptor to the end of its codes
    private byte? _transparent;
    private byte[] _palette = [];

    public GifFile(ReadOnlyMemory<byte> bytes, string source) : base("GIF", bytes, source) => _hasTrailer = FollowBlocks(bytes.Span);

    /// <summary>A file of the first frame alone, with a palette of 256 colours and without transparency.</summary>
    public override ReadOnlyMemory<byte> ForCodec
    {
        get
        {
            ReadOnlySpan<byte> data = Bytes.Span, frame = data[_frame];
            if (frame.IsEmpty)
                return Bytes; // the codec refuses it

            // The canvas grows where the frame is larger.
            byte[] header = data[..HeaderLength].ToArray();
            for (int side = 0; side < 4; side += 2)
            {
                int end = BinaryPrimitives.ReadUInt16LittleEndian(frame[side..]) + BinaryPrimitives.ReadUInt16LittleEndian(frame[(side + 4)..]);
                int canvas = Math.Max(end, BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(6 + side)));
                if (canvas > ushort.MaxValue)
                    throw Damaged("its first frame reaches beyond the largest canvas");
                BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(6 + side), (ushort)canvas);
            }

            const byte Palette256 = 0xF7, Interlaced = 0x40;
            header[10] = Palette256;
            byte flags = (byte)(frame[8] & Interlaced);
            ReadOnlySpan<byte> codes = frame[(DescriptorLength + PaletteLength(frame[8]))..];
            return (byte[])[.. header, .. _palette, ImageSeparator, .. frame[..8], flags, .. codes, Trailer];
        }
    }

    protected override bool IsComplete => _hasTrailer;

    /// <summary>
    /// Gives pixels that the first frame leaves uncovered the palette's transparent colour, or else its first, as Pillow does.
    /// </summary>
    public override void Correct(Span<byte> rgba)
    {
        ReadOnlySpan<byte> colour = _palette.AsSpan(3 * (_transparent ?? 0), 3);
        for (int i = 0; i < rgba.Length; i += 4)
        {
            if (rgba[i + 3] == 0)
                colour.CopyTo(rgba[i..]);
        }
    }

    // Up to the trailer; false if the file ends before it.
    private bool FollowBlocks(ReadOnlySpan<byte> data)
    {
        if (data.Length < HeaderLength)
            return false;
        int globalPalette = PaletteLength(data[10]);
        int position = HeaderLength + globalPalette;
        bool hasFrame = false;
        while (position < data.Length)
        {
            switch (data[position++])
            {
                case Trailer:
                    return true;

                case ExtensionIntroducer:
                    // Label, length of the first sub-block, flags, two bytes of time, index.
                    if (!hasFrame && position + 5 < data.Length && data[position] == GraphicControl && data[position + 1] >= 4
                        && (data[position + 2] & 1) != 0)
                    {
                        _transparent = data[position + 5];
                    }

                    position = AfterSubBlocks(data, position + 1);
                    break;

                case ImageSeparator:
                    // Left, top, width, height, flags; palette; bits of the first code; sub-blocks.
                    int start = position, flags = position + DescriptorLength - 1;
                    if (flags >= data.Length)
                        return false;
                    int localPalette = PaletteLength(data[flags]);
                    position = AfterSubBlocks(data, start + DescriptorLength + localPalette + 1);
                    if (!hasFrame && position <= data.Length)
                    {
                        _frame = start..position;
                        _palette = ChoosePalette(data.Slice(HeaderLength, globalPalette), data.Slice(start + DescriptorLength, localPalette));
                    }

                    hasFrame = true;
                    break;

                default:
                    break; // stray bytes between blocks, as some encoders write them
            }
        }

        return false;
    }

    // Colours beyond the end of a palette are black. Without one, indices are grey levels. Pillow takes a local palette that says just
    // that for none, and so falls back on the global one.
    private static byte[] ChoosePalette(ReadOnlySpan<byte> global, ReadOnlySpan<byte> local)
    {
        var palette = new byte[3 * 256];
        ReadOnlySpan<byte> chosen = !IsGreyRamp(local) ? local : global;
        if (!IsGreyRamp(chosen))
        {
            chosen.CopyTo(palette);
            return palette;
        }

        for (int i = 0; i < palette.Length; i++)
            palette[i] = (byte)(i / 3);
        return palette;
    }

    private static bool IsGreyRamp(ReadOnlySpan<byte> palette)
    {
        for (int i = 0; i < palette.Length; i++)
        {
            if (palette[i] != i / 3)
                return false;
        }

        return true;
    }

    private static int PaletteLength(byte flags) => (flags & 0x80) != 0 ? 3 << ((flags & 7) + 1) : 0;

    // Each sub-block starts with its length; the last one is empty. Beyond the end of the data if they are cut.
    private static int AfterSubBlocks(ReadOnlySpan<byte> data, int position)
    {
        while (position < data.Length && data[position] != 0)
            position += 1 + data[position];
        return position + 1;
    }
}
