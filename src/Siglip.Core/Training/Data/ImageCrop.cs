namespace Siglip.Core;

/// <summary>A part of an image, to be resized to the model's size.</summary>
/// <param name="Left">The first column.</param>
/// <param name="Top">The first row.</param>
/// <param name="Width">Columns.</param>
/// <param name="Height">Rows.</param>
internal readonly record struct ImageCrop(int Left, int Top, int Width, int Height)
{
    private const int Attempts = 10;

    /// <summary>Draws a part as torchvision's RandomResizedCrop does.</summary>
    /// <remarks>Source: torchvision, transforms/transforms.py, RandomResizedCrop.get_params: share of the area, then the logarithm of the ratio, uniformly; if no
    /// part fits, the middle of the image at the nearest ratio.</remarks>
    public static ImageCrop Draw(Random random, int width, int height, SiglipAugmentationOptions options)
    {
        (double lowest, double highest) = (options.MinCropAspectRatio, options.MaxCropAspectRatio);
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            double area = (double)width * height * Uniform(options.MinCropArea, options.MaxCropArea);
            double ratio = Math.Exp(Uniform(Math.Log(lowest), Math.Log(highest)));
            int columns = (int)Math.Round(Math.Sqrt(area * ratio)), rows = (int)Math.Round(Math.Sqrt(area / ratio)); // half to even, as Python's round
            if (columns > 0 && rows > 0 && columns <= width && rows <= height)
            {
                int top = random.Next(height - rows + 1);
                return new ImageCrop(random.Next(width - columns + 1), top, columns, rows);
            }
        }

        double own = (double)width / height;
        (int Width, int Height) middle = own < lowest ? (width, Side(width / lowest)) : own > highest ? (Side(height * highest), height) : (width, height);
        return new ImageCrop((width - middle.Width) / 2, (height - middle.Height) / 2, middle.Width, middle.Height);

        double Uniform(double from, double to) => from + (random.NextDouble() * (to - from));

        static int Side(double length) => Math.Max(1, (int)Math.Round(length));
    }

    public RgbImage Apply(RgbImage image)
    {
        if (Width == image.Width && Height == image.Height)
            return image;
        byte[] result = new byte[Width * Height * 3];
        for (int y = 0; y < Height; y++)
            image.Data.Slice((((Top + y) * image.Width) + Left) * 3, Width * 3).CopyTo(result.AsSpan(y * Width * 3));
        return new RgbImage(Width, Height, result);
    }
}
