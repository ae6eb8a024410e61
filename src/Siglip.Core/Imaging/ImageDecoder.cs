using System.Globalization;
using SkiaSharp;

namespace Siglip.Core;

/// <summary>Decodes image files to the pixels that Pillow's <c>convert("RGB")</c> gives.</summary>
internal static class ImageDecoder
{
    /// <summary>Of images that need more memory than this to be decoded, one is decoded at a time: a batch of them would need more than many machines have.</summary>
    public const int LargeImageBytes = 64 << 20;

    private static readonly SemaphoreSlim LargeImage = new(1);

    public static RgbImage Decode(ReadOnlyMemory<byte> encoded, string source, ImageReading reading)
    {
        using PixelRows rows = Open(encoded, source, reading);
        return rows.ToImage();
    }

    /// <summary>Opens an image for one pass over its rows; where the format allows, they are decoded as they are asked for.</summary>
    /// <exception cref="InvalidDataException">It is no image, a damaged or truncated one, or too large.</exception>
    public static PixelRows Open(ReadOnlyMemory<byte> encoded, string source, ImageReading reading)
    {
        EncodedImage file = EncodedImage.Parse(encoded, source);
        int orientation = reading.ApplyExifOrientation ? file.Orientation : ExifOrientation.Upright;
        if (file is BmpFile bmp)
            return new ImageRows(bmp.Decode());

        var codec = new OpenCodec(file);
        try
        {
            return Open(codec, orientation, reading);
        }
        catch
        {
            codec.Dispose();
            throw;
        }
    }

    /// <summary>Refuses images that are too large, before anything is allocated for them.</summary>
    public static void CheckSize(int width, int height, string source)
    {
        if (width > RgbImage.MaxSide || height > RgbImage.MaxSide || (long)width * height > RgbImage.MaxPixels)
        {
            throw new InvalidDataException(string.Create(
                CultureInfo.InvariantCulture,
                $"{source} has {width:N0} x {height:N0} pixels, expected at most {RgbImage.MaxSide:N0} a side and "
                + $"{RgbImage.MaxPixels:N0} in all. Make the image smaller first."));
        }
    }

    private static PixelRows Open(OpenCodec file, int orientation, ImageReading reading)
    {
        bool isUpright = orientation == ExifOrientation.Upright, streams = file.Image is JpegFile;
        (int width, int height) = (file.Codec.Info.Width, file.Codec.Info.Height);
        (int Width, int Height) fullSize = ExifOrientation.Size(width, height, orientation);
        if (streams && reading.SizeFor?.Invoke(fullSize.Width, fullSize.Height) is { } target)
            (width, height) = Reduce(file.Codec, ExifOrientation.Size(target.Width, target.Height, orientation));

        // Unpremultiplied keeps colours under transparent pixels; without a colour space the codec converts no colours.
        var info = new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Unpremul, null);
        long bytes = (streams ? 0L : info.BytesSize) + (isUpright ? 0L : 3L * width * height);
        LargeImageTurn? turn = bytes > LargeImageBytes ? LargeImageTurn.Take() : null;
        try
        {
            if (isUpright)
                return streams ? new CodecRows.Streamed(file, info) { FullSize = fullSize, Turn = turn } : new CodecRows.Whole(file, info) { Turn = turn };
            using PixelRows stored = streams ? new CodecRows.Streamed(file, info) : new CodecRows.Whole(file, info);
            return new ImageRows(ExifOrientation.Apply(stored, orientation)) { FullSize = fullSize, Turn = turn };
        }
        catch
        {
            turn?.Dispose();
            throw;
        }
    }

    // The sizes are those of Pillow's Image.draft, asked for twice the size that is wanted, as Image.thumbnail does: halves, fourths or eighths.
    private static (int Width, int Height) Reduce(SKCodec codec, (int Width, int Height) target)
    {
        const int Gap = 2;
        int most = Math.Min(codec.Info.Width / (Gap * target.Width), codec.Info.Height / (Gap * target.Height));
        int part = most >= 8 ? 8 : most >= 4 ? 4 : most >= 2 ? 2 : 1;
        SKSizeI reduced = codec.GetScaledDimensions(1f / part);
        return (reduced.Width, reduced.Height);
    }

    private sealed class LargeImageTurn : IDisposable
    {
        public static LargeImageTurn Take()
        {
            LargeImage.Wait();
            return new LargeImageTurn();
        }

        public void Dispose() => LargeImage.Release();
    }
}
