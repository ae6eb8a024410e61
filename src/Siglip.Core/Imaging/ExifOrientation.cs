using System.Buffers.Binary;

namespace Siglip.Core;

/// <summary>The EXIF tag 0x0112: how an image has to be turned or mirrored to stand upright.</summary>
internal static class ExifOrientation
{
    public const int Upright = 1;

    /// <summary>Reads the orientation from EXIF data, which are a small TIFF file, or else from XMP data, which are XML.</summary>
    /// <param name="exif">Possibly empty or damaged.</param>
    /// <param name="xmp">Possibly empty or damaged.</param>
    /// <returns>1 to 8; 1 if there is none or if it means nothing.</returns>
    public static int Read(ReadOnlySpan<byte> exif, ReadOnlySpan<byte> xmp = default) =>
        (FromExif(exif) ?? FromXmp(xmp)) is { } value and >= 1 and <= 8 ? (int)value : Upright;

    // Null without the tag.
    private static uint? FromExif(ReadOnlySpan<byte> exif)
    {
        const int HeaderLength = 8, EntryLength = 12, Tag = 0x0112, Short = 3, Long = 4;
        while (exif.StartsWith("Exif\0\0"u8))
            exif = exif[6..]; // belongs to JPEG only, but some writers put it everywhere
        bool littleEndian = exif.StartsWith("II*\0"u8);
        if (exif.Length < HeaderLength || (!littleEndian && !exif.StartsWith("MM\0*"u8)))
            return null;

        // Number of entries, then for each: tag, type, count, value.
        uint directory = ReadUInt32(exif[4..], littleEndian);
        if (directory > exif.Length - 2)
            return null;
        ReadOnlySpan<byte> entries = exif[((int)directory + 2)..];
        for (int left = ReadUInt16(exif[(int)directory..], littleEndian); left > 0 && entries.Length >= EntryLength; left--)
        {
            if (ReadUInt16(entries, littleEndian) == Tag)
            {
                // Type and count; of two values the first one counts.
                return (ReadUInt16(entries[2..], littleEndian), ReadUInt32(entries[4..], littleEndian)) switch
                {
                    (Short, 1 or 2) => (uint)ReadUInt16(entries[8..], littleEndian),
                    (Long, 1) => ReadUInt32(entries[8..], littleEndian),
                    _ => Upright,
                };
            }

            entries = entries[EntryLength..];
        }

        return null;
    }

    // An attribute or an element, looked for as Pillow does, without a parser.
    private static uint? FromXmp(ReadOnlySpan<byte> xmp)
    {
        ReadOnlySpan<byte> name = "tiff:Orientation"u8;
        while (xmp.IndexOf(name) is >= 0 and int found)
        {
            xmp = xmp[(found + name.Length)..];
            ReadOnlySpan<byte> value = xmp.StartsWith("=\""u8) ? xmp[2..] : xmp.StartsWith(">"u8) ? xmp[1..] : default;
            if (!value.IsEmpty && char.IsAsciiDigit((char)value[0]))
                return (uint)(value[0] - '0');
        }

        return null;
    }

    /// <summary>The size of a picture once it is turned; the same again for one that is turned back.</summary>
    public static (int Width, int Height) Size(int width, int height, int orientation) => orientation is >= 5 and <= 8 ? (height, width) : (width, height);

    /// <inheritdoc cref="Apply(PixelRows, int)"/>
    public static RgbImage Apply(RgbImage image, int orientation)
    {
        using var rows = new ImageRows(image);
        return Apply(rows, orientation);
    }

    /// <summary>Turns an image upright, as Pillow's <c>ImageOps.exif_transpose</c>.</summary>
    /// <param name="image">As stored.</param>
    /// <param name="orientation">1 to 8; any other value means that there is nothing to do, like 1.</param>
    /// <exception cref="InvalidDataException">The pixels are damaged.</exception>
    public static RgbImage Apply(PixelRows image, int orientation)
    {
        int w = image.Width, h = image.Height;

        // Where the first stored pixel goes, and how many pixels further the next one in its row and in its column goes.
        (int first, int right, int down) = orientation switch
        {
            2 => (w - 1, -1, w),            // mirrored left to right
            3 => ((w * h) - 1, -1, -w),     // turned by 180 degrees
            4 => ((h - 1) * w, 1, -w),      // mirrored top to bottom
            5 => (0, h, 1),                 // mirrored at the main diagonal
            6 => (h - 1, h, -1),            // turned by 90 degrees clockwise
            7 => ((w * h) - 1, -h, -1),     // mirrored at the other diagonal
            8 => ((w - 1) * h, -h, 1),      // turned by 90 degrees anticlockwise
            _ => (0, 1, w),
        };
        if (orientation is < 2 or > 8)
            return image.ToImage();

        byte[] upright = GC.AllocateUninitializedArray<byte>(w * h * 3);
        for (int y = 0; y < h; y += ColumnKernels.Rows)
        {
            ReadOnlySpan<byte> stored = image.Next();
            int rows = Math.Min(ColumnKernels.Rows, h - y);
            for (int x = 0; x < w; x++)
            {
                for (int row = 0; row < rows; row++)
                    stored.Slice(((row * w) + x) * 3, 3).CopyTo(upright.AsSpan((first + (x * right) + ((y + row) * down)) * 3));
            }
        }

        (int width, int height) = Size(w, h, orientation);
        return new RgbImage(width, height, upright);
    }

    private static int ReadUInt16(ReadOnlySpan<byte> data, bool littleEndian) =>
        littleEndian ? BinaryPrimitives.ReadUInt16LittleEndian(data) : BinaryPrimitives.ReadUInt16BigEndian(data);

    private static uint ReadUInt32(ReadOnlySpan<byte> data, bool littleEndian) =>
        littleEndian ? BinaryPrimitives.ReadUInt32LittleEndian(data) : BinaryPrimitives.ReadUInt32BigEndian(data);
}
