using Microsoft.ML.Data;
using Siglip.Core;

namespace Siglip.MLNet.Tests;

[TestClass]
public sealed class MLImagePixelsTests
{
    [TestMethod]
    public void Both_pixel_formats_give_red_green_blue()
    {
        using MLImage rgba = MLImage.CreateFromPixels(2, 1, MLPixelFormat.Rgba32, [1, 2, 3, 255, 4, 5, 6, 255]);
        using MLImage bgra = MLImage.CreateFromPixels(2, 1, MLPixelFormat.Bgra32, [3, 2, 1, 255, 6, 5, 4, 255]);

        CollectionAssert.AreEqual(new byte[] { 1, 2, 3, 4, 5, 6 }, MLImagePixels.ToRgb(rgba).Data.ToArray());
        CollectionAssert.AreEqual(new byte[] { 1, 2, 3, 4, 5, 6 }, MLImagePixels.ToRgb(bgra).Data.ToArray());
    }

    [TestMethod]
    public void Premultiplied_colors_come_back_and_alpha_is_dropped()
    {
        // 200, 100, 50 at alpha 128: premultiplied 100, 50, 25. Nothing is left at alpha 0.
        using MLImage image = MLImage.CreateFromPixels(2, 1, MLPixelFormat.Rgba32, [100, 50, 25, 128, 0, 0, 0, 0]);

        CollectionAssert.AreEqual(new byte[] { 199, 100, 50, 0, 0, 0 }, MLImagePixels.ToRgb(image).Data.ToArray());
    }

    [TestMethod]
    public void Opaque_files_have_the_same_pixels_as_in_the_core_library()
    {
        foreach (string path in TestModel.Images.Take(6)) // lossless ones: JPEG decoders differ
        {
            using MLImage image = MLImage.CreateFromFile(path);
            RgbImage pixels = MLImagePixels.ToRgb(image), expected = RgbImage.Load(path);
            Assert.AreEqual((expected.Width, expected.Height), (pixels.Width, pixels.Height));
            CollectionAssert.AreEqual(expected.Data.ToArray(), pixels.Data.ToArray(), path);
        }
    }

    [TestMethod]
    public void A_clone_lives_longer_than_its_original()
    {
        MLImage image = MLImage.CreateFromPixels(1, 1, MLPixelFormat.Rgba32, [1, 2, 3, 255]);
        image.Tag = "tag";
        using MLImage clone = MLImagePixels.Clone(image);
        image.Dispose();

        CollectionAssert.AreEqual(new byte[] { 1, 2, 3, 255 }, clone.Pixels.ToArray());
        Assert.AreEqual("tag", clone.Tag);
    }
}
