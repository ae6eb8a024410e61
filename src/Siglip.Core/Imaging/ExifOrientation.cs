namespace Siglip.Core;

/// <summary>The EXIF tag 0x0112: how an image has to be turned or mirrored to stand upright.</summary>
internal static class ExifOrientation
{
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
        if (first == 0 && right == 1)
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
}
