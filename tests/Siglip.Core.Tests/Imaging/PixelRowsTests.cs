using SkiaSharp;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class PixelRowsTests
{
    public static IEnumerable<object[]> Names => ReferenceImages.Names;

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void An_image_resized_as_it_is_decoded_has_the_pixels_of_one_that_was_decoded_before(string name)
    {
        byte[] encoded = ReferenceImages.Bytes(name);
        foreach (bool turned in (bool[])[false, true])
        {
            RgbImage whole = RgbImage.Decode(encoded, name, turned);
            foreach ((int width, int height) in ((int, int)[])[(32, 32), (whole.Width, 20), (20, whole.Height), (whole.Width, whole.Height), (whole.Width + 7, whole.Height + 9)])
            {
                using PixelRows rows = ImageDecoder.Open(encoded, name, new ImageReading(turned));
                Assert.AreEqual((whole.Width, whole.Height), rows.FullSize);
                RgbImage resized = ImageResizer.Resize(rows, width, height, ImageResampling.Bicubic, SiglipImageBackend.Pillow);
                Assert.IsTrue(ImageResizer.Resize(whole, width, height, ImageResampling.Bicubic).Data.SequenceEqual(resized.Data), $"{width} x {height}, turned: {turned}");
            }
        }
    }

    [TestMethod]
    public void A_large_photo_needs_little_memory()
    {
        byte[] encoded = Encode(3000, 2000, SKEncodedImageFormat.Jpeg); // 18 MB of pixels
        long allocated = Enumerable.Range(0, 3).Min(_ =>
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            using PixelRows rows = ImageDecoder.Open(encoded, "a photo", new ImageReading(false));
            ImageResizer.Resize(rows, 224, 224, ImageResampling.Bicubic, SiglipImageBackend.Pillow);
            return GC.GetAllocatedBytesForCurrentThread() - before;
        });

        Assert.IsLessThan(1_000_000, allocated);
    }

    [TestMethod]
    [Timeout(120_000, CooperativeCancellation = true)]
    public void Images_that_have_to_wait_for_their_turn_get_it()
    {
        byte[] encoded = Encode(4200, 4100, SKEncodedImageFormat.Png), damaged = [.. encoded[..(encoded.Length / 2)], .. encoded[^12..]];
        Assert.IsGreaterThan(ImageDecoder.LargeImageBytes, 4200 * 4100 * 4);

        Parallel.For(0, 6, i =>
        {
            if (i % 2 == 0) // one that fails lets the next one go on, too
            {
                Assert.ThrowsExactly<InvalidDataException>(() => ImageDecoder.Open(damaged, "half an image", new ImageReading(true)));
                return;
            }

            using PixelRows rows = ImageDecoder.Open(encoded, "an image", new ImageReading(true));
            Assert.AreEqual(30, ImageResizer.Resize(rows, 20, 30, ImageResampling.Bicubic, SiglipImageBackend.Pillow).Height);
        });
    }

    private static byte[] Encode(int width, int height, SKEncodedImageFormat format)
    {
        using var bitmap = new SKBitmap(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        bitmap.Erase(new SKColor(10, 120, 230));
        using SKData data = bitmap.Encode(format, 90);
        return data.ToArray();
    }
}
