using System.Buffers.Binary;
using System.Runtime.InteropServices;
using SkiaSharp;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class RgbImageTests
{
    [TestMethod]
    public void Decoding_a_large_image_keeps_no_memory()
    {
        const int Side = 4200; // 71 MB as RGBA
        using var bitmap = new SkiaSharp.SKBitmap(Side, Side);
        bitmap.Erase(new SkiaSharp.SKColor(10, 20, 30));
        byte[] png;
        using (SkiaSharp.SKData encoded = bitmap.Encode(SkiaSharp.SKEncodedImageFormat.Png, 100))
            png = encoded.ToArray();
        long before = GC.GetTotalMemory(forceFullCollection: true);

        byte[] last = Last(png);

        CollectionAssert.AreEqual((byte[])[10, 20, 30], last);
        Assert.IsLessThan(20_000_000, GC.GetTotalMemory(forceFullCollection: true) - before);

        [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
        static byte[] Last(byte[] png) => RgbImage.Decode(png).Data[^3..].ToArray();
    }

    [TestMethod]
    [DynamicData(nameof(ReferenceImages.Names), typeof(ReferenceImages))]
    public void Decoding_gives_the_pixels_of_Pillow(string name)
    {
        RgbImage image = RgbImage.Load(ReferenceImages.PathOf(name));

        Assert.AreEqual(ReferenceImages.Number(name, "width"), image.Width);
        Assert.AreEqual(ReferenceImages.Number(name, "height"), image.Height);
        ParityReport.OfThisRun.CheckIdentical(ParityArea.Preprocessing, "image files", name, "decoded pixels",
            ReferenceImages.DifferenceFromHash(image.Data, ReferenceImages.Text(name, "decoded_rgb_sha256")));
    }

    [TestMethod]
    public void Colour_profiles_are_ignored()
    {
        using SKColorSpace wide = SKColorSpace.CreateRgb(SKColorSpaceTransferFn.TwoDotTwo, SKColorSpaceXyz.AdobeRgb);
        byte[] png = EncodePng(
            [10, 200, 30, 255, 250, 20, 128, 255], new SKImageInfo(2, 1, SKColorType.Rgba8888, SKAlphaType.Unpremul, wide));
        using (SKData data = SKData.CreateCopy(png))
        using (SKCodec codec = SKCodec.Create(data))
            Assert.IsFalse(codec.Info.ColorSpace.IsSrgb, "the file should carry a profile");

        CollectionAssert.AreEqual(new byte[] { 10, 200, 30, 250, 20, 128 }, RgbImage.Decode(png).Data.ToArray());
    }

    [TestMethod]
    public void Colours_under_transparent_pixels_survive()
    {
        byte[] encoded = EncodePng(
            [200, 100, 50, 0, 1, 2, 3, 1, 255, 128, 7, 128, 9, 8, 7, 255],
            new SKImageInfo(2, 2, SKColorType.Rgba8888, SKAlphaType.Unpremul));

        CollectionAssert.AreEqual(
            new byte[] { 200, 100, 50, 1, 2, 3, 255, 128, 7, 9, 8, 7 }, RgbImage.Decode(encoded).Data.ToArray());
    }

    [TestMethod]
    public void Colour_that_stands_for_transparency_in_a_GIF_survives()
    {
        byte[] gif = ReferenceImages.Bytes("animated.gif");
        RgbImage opaque = RgbImage.Decode(gif);
        int flags = gif.AsSpan().IndexOf((ReadOnlySpan<byte>)[0x21, 0xF9, 0x04]) + 3;
        for (int index = 0; index < 64; index += 7)
        {
            gif[flags] |= 1;
            gif[flags + 3] = (byte)index;
            Assert.IsTrue(RgbImage.Decode(gif).Data.SequenceEqual(opaque.Data), $"transparent colour {index}");
        }
    }

    [TestMethod]
    [DataRow(null, 0)]
    [DataRow(5, 5)]
    public void What_the_first_frame_of_a_GIF_leaves_uncovered_has_the_transparent_or_first_colour(int? transparent, int colour)
    {
        byte[] gif = ReferenceImages.Bytes("animated.gif");
        RgbImage frame = RgbImage.Decode(gif);
        int flags = gif.AsSpan().IndexOf((ReadOnlySpan<byte>)[0x21, 0xF9, 0x04]) + 3;
        gif[flags] = (byte)(transparent is null ? gif[flags] & 0xFE : gif[flags] | 1);
        gif[flags + 3] = (byte)(transparent ?? 0);
        BinaryPrimitives.WriteUInt16LittleEndian(gif.AsSpan(6), (ushort)(frame.Width + 3));
        byte[] expected = gif[(13 + (3 * colour))..(16 + (3 * colour))];

        RgbImage image = RgbImage.Decode(gif);

        Assert.AreEqual(frame.Width + 3, image.Width);
        for (int y = 0; y < image.Height; y++)
        {
            ReadOnlySpan<byte> row = image.Data.Slice(y * image.Width * 3, image.Width * 3);
            Assert.IsTrue(row[..(frame.Width * 3)].SequenceEqual(frame.Data.Slice(y * frame.Width * 3, frame.Width * 3)));
            for (int x = frame.Width; x < image.Width; x++)
                CollectionAssert.AreEqual(expected, row.Slice(x * 3, 3).ToArray());
        }
    }

    [TestMethod]
    public void BMP_rows_may_be_stored_from_the_top()
    {
        byte[] bmp = ReferenceImages.Bytes("rgb24.bmp");
        RgbImage fromTheBottom = RgbImage.Decode(bmp);
        BinaryPrimitives.WriteInt32LittleEndian(bmp.AsSpan(22), -fromTheBottom.Height);

        RgbImage fromTheTop = RgbImage.Decode(bmp);

        int stride = fromTheTop.Width * 3;
        for (int y = 0; y < fromTheTop.Height; y++)
        {
            Assert.IsTrue(fromTheTop.Data.Slice(y * stride, stride).SequenceEqual(
                fromTheBottom.Data.Slice((fromTheBottom.Height - 1 - y) * stride, stride)));
        }
    }

    [TestMethod]
    public void BMP_with_the_short_header_of_1987_is_decoded_and_refused_when_cut()
    {
        byte[] bmp =
        [
            (byte)'B', (byte)'M', 34, 0, 0, 0, 0, 0, 0, 0, 26, 0, 0, 0, // file header: length, offset of the pixels
            12, 0, 0, 0, 2, 0, 1, 0, 1, 0, 24, 0,                       // 2 x 1 pixels of 24 bits
            3, 2, 1, 6, 5, 4, 0, 0,                                     // blue, green, red; padding
        ];

        CollectionAssert.AreEqual(new byte[] { 1, 2, 3, 4, 5, 6 }, RgbImage.Decode(bmp).Data.ToArray());
        for (int length = 1; length < bmp.Length; length++)
            Assert.ThrowsExactly<InvalidDataException>(() => RgbImage.Decode(bmp.AsMemory(0, length)));
    }

    [TestMethod]
    [DataRow("photo_420.jpg")]
    [DataRow("rgb.png")]
    [DataRow("lossy.webp")]
    [DataRow("animated.gif")]
    [DataRow("rgb24.bmp")]
    public void Bytes_after_the_end_of_an_image_do_no_harm(string name)
    {
        byte[] bytes = [.. ReferenceImages.Bytes(name), 0xFF, 0x00, 0x3B, 0x12];

        Assert.IsTrue(RgbImage.Decode(bytes).Data.SequenceEqual(RgbImage.Load(ReferenceImages.PathOf(name)).Data));
    }

    [TestMethod]
    public void Constructor_refuses_sizes_that_do_not_fit_the_pixels()
    {
        ArgumentException wrong = Assert.ThrowsExactly<ArgumentException>(() => new RgbImage(2, 2, new byte[11]));
        StringAssert.StartsWith(wrong.Message, "11 bytes for 2 x 2 pixels, expected 12.");
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => new RgbImage(0, 2, []));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => new RgbImage(2, 0, []));
        Assert.ThrowsExactly<ArgumentNullException>(() => new RgbImage(2, 2, null!));
    }

    private static byte[] EncodePng(byte[] rgba, SKImageInfo info)
    {
        using var bitmap = new SKBitmap(info);
        Marshal.Copy(rgba, 0, bitmap.GetPixels(), rgba.Length);
        using SKPixmap pixels = bitmap.PeekPixels();
        using SKData encoded = pixels.Encode(SKPngEncoderOptions.Default);
        return encoded.ToArray();
    }

    [TestMethod]
    public void A_PNG_file_of_an_image_has_its_pixels()
    {
        byte[] pixels = [.. Enumerable.Range(0, 5 * 3 * 3).Select(i => (byte)(i * 5))];
        RgbImage read = RgbImage.Decode(new RgbImage(5, 3, pixels).ToPng());

        Assert.AreEqual((5, 3), (read.Width, read.Height));
        CollectionAssert.AreEqual(pixels, read.Data.ToArray());
    }

    [TestMethod]
    public void As_HTML_an_image_is_one_element_and_its_description_is_text()
    {
        var image = new RgbImage(2, 1, [1, 2, 3, 4, 5, 6]);
        string html = image.ToHtml("\"><script>");

        Assert.StartsWith($"<img src=\"data:image/png;base64,{Convert.ToBase64String(image.ToPng())}\" alt=\"&quot;&gt;&lt;script&gt;\" width=\"2\" height=\"1\"", html);
        Assert.AreEqual(1, html.Count(character => character == '>'));
    }
}
