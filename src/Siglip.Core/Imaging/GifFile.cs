using System.Buffers.Binary;

namespace Siglip.Core;

/// <summary>The blocks of a GIF file, as far as its first frame needs them.</summary>
/// <remarks>Source: W3C, GIF89a specification; lenient where Pillow's GifImagePlugin.py is.</remarks>
internal readonly struct GifFile
{
    private const int HeaderLength = 13;
    private const byte ExtensionIntroducer = 0x21, GraphicControl = 0xF9, ImageSeparator = 0x2C, Trailer = 0x3B;

    private readonly int _controlFlags; // position of the first frame's flags, 0 if it has none
    private readonly int _palette;      // position of the first frame's palette, 0 if it has none

    private GifFile(int controlFlags, int palette) => (_controlFlags, _palette) = (controlFlags, palette);

    /// <summary>Follows the blocks up to the trailer.</summary>
    /// <returns>Null if the file ends before its trailer.</returns>
    public static GifFile? Parse(ReadOnlySpan<byte> data)
    {
        if (data.Length < HeaderLength)
            return null;
        int globalPalette = PaletteLength(data[10]);
        int position = HeaderLength + globalPalette;
        int controlFlags = 0, palette = 0;
        bool hasFrame = false;
        while (position < data.Length)
        {
            switch (data[position++])
            {
                case Trailer:
                    return new GifFile(controlFlags, palette);

                case ExtensionIntroducer:
                    // Label, length of the first sub-block, flags.
                    if (!hasFrame && position + 2 < data.Length && data[position] == GraphicControl && data[position + 1] >= 4)
                        controlFlags = position + 2;
                    position = AfterSubBlocks(data, position + 1);
                    break;

                case ImageSeparator:
                    // Left, top, width, height, flags; palette; bits of the first code; sub-blocks.
                    int flags = position + 8;
                    if (flags >= data.Length)
                        return null;
                    int localPalette = PaletteLength(data[flags]);
                    if (!hasFrame)
                        palette = localPalette > 0 ? flags + 1 : globalPalette > 0 ? HeaderLength : 0;
                    hasFrame = true;
                    position = AfterSubBlocks(data, flags + 1 + localPalette + 1);
                    break;

                default:
                    break; // stray bytes between blocks, as some encoders write them
            }
        }

        return null;
    }

    /// <summary>
    /// The colour of pixels that are transparent or that the first frame leaves uncovered: the palette's transparent colour, or else its
    /// first, as in Pillow.
    /// </summary>
    public (byte Red, byte Green, byte Blue) ColourOfTransparency(ReadOnlySpan<byte> data)
    {
        int index = _controlFlags > 0 && (data[_controlFlags] & 1) != 0 ? data[_controlFlags + 3] : 0;
        int entry = _palette + (3 * index);
        return _palette > 0 && entry + 2 < data.Length ? (data[entry], data[entry + 1], data[entry + 2]) : default;
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
