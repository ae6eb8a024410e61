using System.Runtime.InteropServices;
using SkiaSharp;

namespace Siglip.Core;

/// <summary>Decodes image files to the pixels that Pillow's <c>convert("RGB")</c> gives.</summary>
internal static class ImageDecoder
{
    private const int RgbaBytes = 4;

    public static unsafe RgbImage Decode(ReadOnlyMemory<byte> encoded, string source, bool applyExifOrientation)
    {
        EncodedImage file = EncodedImage.Parse(encoded, source);

        // The codec reads the bytes where they are; the pin outlives it.
        using System.Buffers.MemoryHandle pin = file.Bytes.Pin();
        using SKData data = SKData.Create((nint)pin.Pointer, file.Bytes.Length);
        using SKCodec codec = SKCodec.Create(data) ?? throw Damaged(file, source, "its header cannot be read");
        CheckSize(codec.Info.Width, codec.Info.Height, source);

        RgbImage image = DecodePixels(codec, file, source);
        return applyExifOrientation ? ExifOrientation.Apply(image, (int)codec.EncodedOrigin) : image;
    }

    private static void CheckSize(int width, int height, string source)
    {
        if (width > RgbImage.MaxSide || height > RgbImage.MaxSide || (long)width * height > RgbImage.MaxPixels)
        {
            throw new InvalidDataException(
                $"{source} has {width:N0} x {height:N0} pixels, expected at most {RgbImage.MaxSide:N0} a side and "
                + $"{RgbImage.MaxPixels:N0} in all. Make the image smaller first.");
        }
    }

    private static unsafe RgbImage DecodePixels(SKCodec codec, EncodedImage file, string source)
    {
        // Unpremultiplied keeps colours under transparent pixels; without a colour space the codec converts no colours.
        var info = new SKImageInfo(codec.Info.Width, codec.Info.Height, SKColorType.Rgba8888, SKAlphaType.Unpremul, null);
        nuint length = (nuint)info.Width * (nuint)info.Height * RgbaBytes;
        byte* rgba = (byte*)NativeMemory.AllocZeroed(length);
        try
        {
            SKCodecResult result = codec.GetPixels(info, (nint)rgba);
            if (result == SKCodecResult.IncompleteInput)
                throw EncodedImage.Truncated(file, source);
            if (result != SKCodecResult.Success)
                throw Damaged(file, source, $"its pixels cannot be decoded ({result})");

            var pixels = new byte[info.Width * info.Height * 3];
            byte* from = rgba;
            for (int to = 0; to < pixels.Length; to += 3, from += RgbaBytes)
            {
                pixels[to] = from[0];
                pixels[to + 1] = from[1];
                pixels[to + 2] = from[2];
            }

            return new RgbImage(info.Width, info.Height, pixels);
        }
        finally
        {
            NativeMemory.Free(rgba);
        }
    }

    private static InvalidDataException Damaged(EncodedImage file, string source, string fault) =>
        new($"{source} is a damaged {file.Format} file: {fault}. Copy or download it again.");
}
