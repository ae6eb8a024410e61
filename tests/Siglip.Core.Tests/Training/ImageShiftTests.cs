namespace Siglip.Core.Tests;

[TestClass]
public sealed class ImageShiftTests
{
    [TestMethod]
    public void No_shift_changes_nothing()
    {
        RgbImage image = Numbered(4, 3);

        CollectionAssert.AreEqual(image.Data.ToArray(), new ImageShift(0, 0, false).Apply(image).Data.ToArray());
    }

    [TestMethod]
    public void A_shift_moves_pixels_and_lets_black_in()
    {
        CollectionAssert.AreEqual((byte[])[0, 0, 0, 0, 1, 2], Red(new ImageShift(1, 1, false).Apply(Numbered(3, 2))));
        CollectionAssert.AreEqual((byte[])[5, 6, 0, 0, 0, 0], Red(new ImageShift(-1, -1, false).Apply(Numbered(3, 2))));
    }

    [TestMethod]
    public void A_flip_mirrors_left_and_right()
    {
        CollectionAssert.AreEqual((byte[])[3, 2, 1, 6, 5, 4], Red(new ImageShift(0, 0, true).Apply(Numbered(3, 2))));
        CollectionAssert.AreEqual((byte[])[2, 1, 0, 5, 4, 0], Red(new ImageShift(1, 0, true).Apply(Numbered(3, 2))));
    }

    // Red counts the pixels from 1.
    private static RgbImage Numbered(int width, int height) =>
        new(width, height, [.. Enumerable.Range(1, width * height).SelectMany(i => (byte[])[(byte)i, 0, 0])]);

    private static byte[] Red(RgbImage image) => [.. image.Data.ToArray().Where((_, i) => i % 3 == 0)];
}
