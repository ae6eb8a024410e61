using System.Buffers;
using System.Globalization;
using SkiaSharp;

namespace Siglip.Core;

/// <summary>Decodes image files to the pixels that Pillow's <c>convert("RGB")</c> gives.</summary>
internal static class ImageDecoder
{
    private const int RgbBytes = 3;
    private const int RgbaBytes = 4;

    // Of larger buffers the pool would keep hundreds of megabytes for good.
    private const int MaxPooledBytes = 64 << 20;

    // Rows decoded at a time where the codec can stop: two rows of JPEG blocks, so that the pixels are still in the cache when compacted.
    private const int StripRows = 16;

    // Very large images are decoded one at a time, or a batch of them would need more memory than many machines have.
    private static readonly Lock LargeImage = new();

    public static RgbImage Decode(ReadOnlyMemory<byte> encoded, string source, bool applyExifOrientation)
    {
        EncodedImage file = EncodedImage.Parse(encoded, source);
        RgbImage image = file is BmpFile bmp ? bmp.Decode() : DecodeByCodec(file);
        return applyExifOrientation ? ExifOrientation.Apply(image, file.Orientation) : image;
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

    private static unsafe RgbImage DecodeByCodec(EncodedImage file)
    {
        // The codec reads the bytes where they are; the pin outlives it.
        ReadOnlyMemory<byte> bytes = file.ForCodec;
        using MemoryHandle pin = bytes.Pin();
        using SKData data = CreateData((nint)pin.Pointer, bytes.Length);
        using SKCodec codec = SKCodec.Create(data) ?? throw file.Damaged("its header cannot be read");
        CheckSize(codec.Info.Width, codec.Info.Height, file.Source);

        // Unpremultiplied keeps colours under transparent pixels; without a colour space the codec converts no colours.
        var info = new SKImageInfo(codec.Info.Width, codec.Info.Height, SKColorType.Rgba8888, SKAlphaType.Unpremul, null);
        byte[] pixels = file is JpegFile ? DecodeInStrips(codec, info, file) : DecodeAtOnce(codec, info, file);
        return new RgbImage(info.Width, info.Height, pixels);
    }

    // SkiaSharp's first use loads its native library.
    private static SKData CreateData(nint bytes, int length)
    {
        try
        {
            return SKData.Create(bytes, length);
        }
        catch (Exception e) when (e is TypeInitializationException or DllNotFoundException)
        {
            throw new InvalidOperationException("The native library of SkiaSharp, which decodes images, cannot be loaded. On Linux, add the package "
                + "SkiaSharp.NativeAssets.Linux.NoDependencies 2.88.9 to the application's project.", e);
        }
    }

    private static unsafe byte[] DecodeInStrips(SKCodec codec, SKImageInfo info, EncodedImage file)
    {
        SKCodecResult start = codec.StartScanlineDecode(info);
        if (start != SKCodecResult.Success)
            throw Undecodable(start, file);
        var pixels = new byte[info.Width * info.Height * RgbBytes];
        byte[] strip = ArrayPool<byte>.Shared.Rent(info.RowBytes * StripRows);
        try
        {
            fixed (byte* rgba = strip)
            {
                for (int y = 0; y < info.Height; y += StripRows)
                {
                    int rows = Math.Min(StripRows, info.Height - y);
                    if (codec.GetScanlines((nint)rgba, rows, info.RowBytes) != rows)
                        throw Undecodable(SKCodecResult.IncompleteInput, file);
                    DropAlpha(strip, pixels.AsSpan(info.Width * y * RgbBytes, info.Width * rows * RgbBytes));
                }
            }

            return pixels;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(strip);
        }
    }

    private static byte[] DecodeAtOnce(SKCodec codec, SKImageInfo info, EncodedImage file)
    {
        int length = info.Width * info.Height * RgbaBytes;
        if (length > MaxPooledBytes)
        {
            lock (LargeImage)
                return DecodeAtOnce(codec, info, file, new byte[length]);
        }

        byte[] rented = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            Span<byte> whole = rented.AsSpan(0, length);
            whole.Clear(); // a codec leaves alone what the first frame does not cover
            return DecodeAtOnce(codec, info, file, whole);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    private static unsafe byte[] DecodeAtOnce(SKCodec codec, SKImageInfo info, EncodedImage file, Span<byte> whole)
    {
        fixed (byte* rgba = whole)
        {
            SKCodecResult result = codec.GetPixels(info, (nint)rgba);
            if (result != SKCodecResult.Success)
                throw Undecodable(result, file);
        }

        file.Correct(whole);
        var pixels = new byte[info.Width * info.Height * RgbBytes];
        DropAlpha(whole, pixels);
        return pixels;
    }

    private static void DropAlpha(ReadOnlySpan<byte> rgba, Span<byte> rgb)
    {
        for (int from = 0, to = 0; to < rgb.Length; from += RgbaBytes, to += RgbBytes)
        {
            rgb[to] = rgba[from];
            rgb[to + 1] = rgba[from + 1];
            rgb[to + 2] = rgba[from + 2];
        }
    }

    // The file has its end mark, so incomplete input means that something before it is missing.
    private static InvalidDataException Undecodable(SKCodecResult result, EncodedImage file) =>
        file.Damaged(result == SKCodecResult.IncompleteInput ? "pixels are missing in it" : $"its pixels cannot be decoded ({result})");
}
