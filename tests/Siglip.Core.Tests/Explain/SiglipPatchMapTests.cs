namespace Siglip.Core.Tests;

[TestClass]
public sealed class SiglipPatchMapTests
{
    private static readonly SiglipPatchGrid Grid = new(2, 3);

    [TestMethod]
    public void Numbers_are_named_by_row_and_column()
    {
        var map = new SiglipPatchMap(Grid, [0, 1, 2, 3, 4, -5]);

        Assert.AreEqual((1f, 3f, -5f, 4f), (map[0, 1], map[1, 0], map.Min, map.Max));
        foreach ((int row, int column) in ((int, int)[])[(2, 0), (0, 3), (-1, 0), (0, -1)])
            Assert.Contains($"The patch {row},{column} (row, column) does not exist; rows are 0 to 1, columns 0 to 2.", Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => map[row, column]).Message);
    }

    [TestMethod]
    public void Numbers_that_are_none_or_too_few_are_refused()
    {
        Assert.Contains("5 values for 2 x 3 patches, expected 6", Assert.ThrowsExactly<ArgumentException>(() => new SiglipPatchMap(Grid, new float[5])).Message);
        Assert.Contains("no finite number", Assert.ThrowsExactly<ArgumentException>(() => new SiglipPatchMap(Grid, [0, 1, 2, 3, 4, float.NaN])).Message);
        Assert.Contains("0 x 3 patches", Assert.ThrowsExactly<ArgumentException>(() => new SiglipPatchMap(new(0, 3), [])).Message);
    }

    [TestMethod]
    public void A_map_is_drawn_as_squares_from_dark_blue_to_yellow()
    {
        RgbImage picture = new SiglipPatchMap(Grid, [0, 0.5f, 1, 0, 0, 0]).Draw();

        Assert.AreEqual((510, 340), (picture.Width, picture.Height));
        Assert.AreEqual((0x44, 0x01, 0x54), At(picture, 0, 0));
        Assert.AreEqual((0xfd, 0xe7, 0x25), At(picture, 509, 0));
        Assert.AreEqual(At(picture, 170, 0), At(picture, 339, 169));
        Assert.AreNotEqual(At(picture, 169, 0), At(picture, 170, 0));
    }

    [TestMethod]
    public void A_map_of_equal_numbers_has_one_colour()
    {
        RgbImage picture = new SiglipPatchMap(new(1, 2), [7, 7]).Draw();
        Assert.AreEqual(At(picture, 0, 0), At(picture, picture.Width - 1, 0));
    }

    [TestMethod]
    public void Over_an_image_colours_lie_on_their_patches_and_the_image_shows_through()
    {
        byte[] pixels = [.. Enumerable.Repeat((byte)255, 4 * 6 * 3 / 2), .. new byte[4 * 6 * 3 / 2]]; // the upper half white, the lower black
        RgbImage picture = new SiglipPatchMap(Grid, [1, 0, 0, 1, 0, 0]).DrawOver(new RgbImage(6, 4, pixels));

        Assert.AreEqual((510, 340), (picture.Width, picture.Height));
        Assert.AreEqual(At(picture, 0, 0), At(picture, 169, 169));
        Assert.AreEqual((254, 241, 124), At(picture, 0, 0)); // 0.4 white + 0.6 (253, 231, 37)
        Assert.AreEqual((152, 139, 22), At(picture, 0, 339));
        Assert.AreEqual((143, 103, 152), At(picture, 509, 0)); // 0.4 white + 0.6 (68, 1, 84)
    }

    [TestMethod]
    public void Large_images_are_reduced_and_patches_need_not_divide_the_picture()
    {
        RgbImage picture = new SiglipPatchMap(new(3, 7), new float[21]).DrawOver(new RgbImage(1000, 400, new byte[1000 * 400 * 3]));
        Assert.AreEqual((512, 205), (picture.Width, picture.Height));
    }

    /// <summary>Equal steps of a number are about equal steps of lightness (CIE 1976).</summary>
    [TestMethod]
    public void The_colours_become_lighter_evenly()
    {
        double[] lightness = [.. Enumerable.Range(0, 41).Select(i => Lightness(Viridis.Of(i / 40.0)))];
        double mean = (lightness[^1] - lightness[0]) / 40;

        Assert.IsGreaterThan(70, lightness[^1] - lightness[0]);
        foreach ((double low, double high) in lightness.Zip(lightness.Skip(1)))
        {
            Assert.IsGreaterThan(0.5 * mean, high - low);
            Assert.IsLessThan(1.5 * mean, high - low);
        }

        Assert.AreEqual((Viridis.Of(0), Viridis.Of(1)), (Viridis.Of(-1), Viridis.Of(2)));
    }

    private static double Lightness((byte Red, byte Green, byte Blue) colour)
    {
        double y = (0.2126 * Linear(colour.Red)) + (0.7152 * Linear(colour.Green)) + (0.0722 * Linear(colour.Blue));
        return y > 0.008856 ? (116 * Math.Cbrt(y)) - 16 : 903.3 * y;

        static double Linear(byte level) => level / 255.0 is var v && v <= 0.04045 ? v / 12.92 : Math.Pow((v + 0.055) / 1.055, 2.4);
    }

    private static (int Red, int Green, int Blue) At(RgbImage image, int x, int y)
    {
        ReadOnlySpan<byte> pixel = image.Data.Slice(((y * image.Width) + x) * 3, 3);
        return (pixel[0], pixel[1], pixel[2]);
    }
}
