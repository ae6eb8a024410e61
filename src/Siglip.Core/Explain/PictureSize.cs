namespace Siglip.Core;

/// <summary>Makes images as large as they are shown.</summary>
internal static class PictureSize
{
    /// <summary>How many times an image is enlarged to be at most so many pixels wide and high.</summary>
    public static int FactorFor(RgbImage image, int side) => Math.Max(1, side / Math.Max(image.Width, image.Height));

    /// <summary>Enlarges a small image by a whole number, without smoothing, and reduces a large one.</summary>
    /// <param name="image">The image.</param>
    /// <param name="side">The longer side in pixels; of an enlarged image at most.</param>
    public static RgbImage Fit(RgbImage image, int side)
    {
        int longer = Math.Max(image.Width, image.Height);
        if (longer <= side)
            return Enlarge(image, side / longer, side / longer);
        return ImageResizer.Resize(image, Reduced(image.Width), Reduced(image.Height), ImageResampling.Bicubic);

        int Reduced(int length) => Math.Max(1, (int)Math.Round((double)length * side / longer));
    }

    /// <summary>Makes a rectangle of each pixel.</summary>
    public static RgbImage Enlarge(RgbImage image, int horizontally, int vertically)
    {
        int width = image.Width * horizontally, height = image.Height * vertically;
        byte[] pixels = new byte[3 * width * height];
        for (int y = 0, i = 0; y < height; y++)
        {
            ReadOnlySpan<byte> row = image.Data.Slice(y / vertically * image.Width * 3, image.Width * 3);
            for (int x = 0; x < width; x++, i += 3)
                row.Slice(x / horizontally * 3, 3).CopyTo(pixels.AsSpan(i));
        }

        return new RgbImage(width, height, pixels);
    }

    /// <summary>A part of an image.</summary>
    public static RgbImage Crop(RgbImage image, int x, int y, int width, int height)
    {
        byte[] pixels = new byte[3 * width * height];
        for (int row = 0; row < height; row++)
            image.Data.Slice((((y + row) * image.Width) + x) * 3, width * 3).CopyTo(pixels.AsSpan(row * width * 3));
        return new RgbImage(width, height, pixels);
    }
}
