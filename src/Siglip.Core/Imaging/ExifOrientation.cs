using System.Buffers.Binary;

namespace Siglip.Core;

/// <summary>The EXIF tag 0x0112: how an image has to be turned or mirrored to stand upright.</summary>
internal static class ExifOrientation
{
    private const int Upright = 1;

    /// <summary>Reads the orientation from EXIF data, which are a small TIFF file.</summary>
    /// <param name="exif">Possibly empty or damaged.</param>
    /// <returns>The stored value, 1 if there is none.</returns>
    public static int Read(ReadOnlySpan<byte> exif)
    {
        const int HeaderLength = 8, EntryLength = 12, Tag = 0x0112, Int16 = 3;
        bool littleEndian = exif.StartsWith("II*\0"u8);
        if (exif.Length < HeaderLength || (!littleEndian && !exif.StartsWith("MM\0*"u8)))
            return Upright;

        // Number of entries, then for each: tag, type, count, value.
        uint directory = littleEndian
            ? BinaryPrimitives.ReadUInt32LittleEndian(exif[4..])
            : BinaryPrimitives.ReadUInt32BigEndian(exif[4..]);
        if (directory > exif.Length - 2)
            return Upright;
        ReadOnlySpan<byte> entries = exif[((int)directory + 2)..];
        for (int left = ReadUInt16(exif[(int)directory..], littleEndian); left > 0 && entries.Length >= EntryLength; left--)
        {
            if (ReadUInt16(entries, littleEndian) == Tag && ReadUInt16(entries[2..], littleEndian) == Int16)
                return ReadUInt16(entries[8..], littleEndian);
            entries = entries[EntryLength..];
        }

        return Upright;
    }

    /// <summary>Turns an image upright, as Pillow's <c>ImageOps.exif_transpose</c>.</summary>
    /// <param name="image">As stored.</param>
    /// <param name="orientation">1 to 8; any other value means that there is nothing to do, like 1.</param>
    public static RgbImage Apply(RgbImage image, int orientation)
    {
        int w = image.Width, h = image.Height;

        // Where the first pixel of the result is stored, and how many pixels further the next one in its row and in its column is.
        (int first, int right, int down) = orientation switch
        {
            2 => (w - 1, -1, w),            // mirrored left to right
            3 => ((w * h) - 1, -1, -w),     // turned by 180 degrees
            4 => ((h - 1) * w, 1, -w),      // mirrored top to bottom
            5 => (0, w, 1),                 // mirrored at the main diagonal
            6 => ((h - 1) * w, -w, 1),      // turned by 90 degrees clockwise
            7 => ((w * h) - 1, -w, -1),     // mirrored at the other diagonal
            8 => (w - 1, w, -1),            // turned by 90 degrees anticlockwise
            _ => (0, 1, w),
        };
        if (orientation is < 2 or > 8)
            return image;

        (int width, int height) = orientation >= 5 ? (h, w) : (w, h);
        ReadOnlySpan<byte> stored = image.Data;
        var upright = new byte[stored.Length];
        for (int y = 0, to = 0; y < height; y++)
        {
            for (int x = 0, pixel = first + (y * down); x < width; x++, pixel += right, to += 3)
                stored.Slice(pixel * 3, 3).CopyTo(upright.AsSpan(to));
        }

        return new RgbImage(width, height, upright);
    }

    private static int ReadUInt16(ReadOnlySpan<byte> data, bool littleEndian) =>
        littleEndian ? BinaryPrimitives.ReadUInt16LittleEndian(data) : BinaryPrimitives.ReadUInt16BigEndian(data);
}
