namespace Siglip.Core.Tests;

[TestClass]
public sealed class ImageCropTests
{
    private static readonly SiglipAugmentationOptions Options = new() { RandomResizedCrop = true };

    [TestMethod]
    public void Drawn_parts_lie_in_the_image_and_have_area_and_ratio_in_range()
    {
        var random = new Random(5);
        ImageCrop[] crops = [.. Enumerable.Range(0, 2000).Select(_ => ImageCrop.Draw(random, 400, 300, Options))];

        Assert.IsTrue(crops.All(crop => crop.Left >= 0 && crop.Top >= 0 && crop.Left + crop.Width <= 400 && crop.Top + crop.Height <= 300));
        double[] areas = [.. crops.Select(crop => crop.Width * crop.Height / 120_000.0)], ratios = [.. crops.Select(crop => (double)crop.Width / crop.Height)];
        Assert.AreEqual(0.08, areas.Min(), 0.005);
        Assert.IsGreaterThan(0.95, areas.Max());
        Assert.AreEqual(0.75, ratios.Min(), 0.01);
        Assert.AreEqual(1.3333, ratios.Max(), 0.015);
        Assert.IsTrue(crops.Any(crop => crop.Left + crop.Width == 400) && crops.Any(crop => crop.Left == 0));
    }

    [TestMethod]
    public void A_part_follows_torchvisions_formula()
    {
        // area 64 x 48 x (0.08 + 0.92 / 4) = 952.32; ratio (3/4)^(1/2) (4/3)^(1/2) = 1; so 31 x 31; then the row, then the column, of 18 and of 34.
        Assert.AreEqual(new ImageCrop(33, 5, 31, 31), ImageCrop.Draw(new GivenNumbers([0.25, 0.5], [5, 33]), 64, 48, Options));
    }

    [TestMethod]
    public void Where_no_part_fits_the_middle_is_taken_at_the_nearest_ratio()
    {
        var wholeArea = Options with { MinCropArea = 1 };
        Assert.AreEqual(new ImageCrop(433, 0, 133, 100), ImageCrop.Draw(new Random(1), 1000, 100, wholeArea));
        Assert.AreEqual(new ImageCrop(0, 433, 100, 133), ImageCrop.Draw(new Random(1), 100, 1000, wholeArea));
        Assert.AreEqual(new ImageCrop(0, 0, 1, 1), ImageCrop.Draw(new Random(1), 1, 1, Options));
    }

    [TestMethod]
    public void A_part_holds_the_pixels_at_its_place()
    {
        var image = new RgbImage(4, 3, [.. Enumerable.Range(0, 36).Select(i => (byte)i)]);

        RgbImage part = new ImageCrop(1, 1, 2, 2).Apply(image);

        CollectionAssert.AreEqual((byte[])[15, 16, 17, 18, 19, 20, 27, 28, 29, 30, 31, 32], part.Data.ToArray());
        Assert.AreSame(image, new ImageCrop(0, 0, 4, 3).Apply(image));
    }

    private sealed class GivenNumbers(double[] shares, int[] numbers) : Random
    {
        private int _share, _number;

        public override double NextDouble() => shares[_share++];

        public override int Next(int maxValue)
        {
            Assert.IsLessThan(maxValue, numbers[_number]);
            return numbers[_number++];
        }
    }
}
