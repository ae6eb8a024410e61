namespace Siglip.Core.Tests;

[TestClass]
public sealed class BatchMixTests
{
    [TestMethod]
    public void Mixup_blends_each_image_and_its_classes_with_the_one_before()
    {
        float[] pixelValues = [.. Enumerable.Range(0, 3).SelectMany(image => Enumerable.Repeat((float)Math.Pow(10, image), 12))]; // 3 images of 2 x 2 pixels
        float[] targets = [1, 0, 0, 0, 1, 0, 0, 0, 1];

        new BatchMix(0.75, null).Apply(pixelValues, targets, count: 3, width: 2);

        CollectionAssert.AreEqual((float[])[0.75f + 25, 7.5f + 0.25f, 75 + 2.5f], (float[])[pixelValues[0], pixelValues[12], pixelValues[35]]);
        CollectionAssert.AreEqual((float[])[0.75f, 0, 0.25f, 0.25f, 0.75f, 0, 0, 0.25f, 0.75f], targets);
    }

    [TestMethod]
    public void CutMix_takes_a_rectangle_of_all_channels_from_the_image_before_and_its_share_of_the_class()
    {
        float[] pixelValues = [.. Enumerable.Range(0, 2).SelectMany(image => Enumerable.Range(0, 27).Select(i => (image * 100f) + i))]; // 2 images of 3 x 3 pixels
        float[] targets = [1, 0, 0, 1];

        new BatchMix(7.0 / 9, new ImageCrop(1, 0, 1, 2)).Apply(pixelValues, targets, count: 2, width: 3);

        float[] first = pixelValues[..27];
        CollectionAssert.AreEqual((int[])[1, 4, 10, 13, 19, 22], Enumerable.Range(0, 27).Where(i => first[i] == 100 + i).ToArray());
        Assert.AreEqual(21, Enumerable.Range(0, 27).Count(i => first[i] == i));
        CollectionAssert.AreEqual((int[])[1, 4, 10, 13, 19, 22], Enumerable.Range(0, 27).Where(i => pixelValues[27 + i] == i).ToArray());
        CollectionAssert.AreEqual((float[])[(float)(7.0 / 9), (float)(1 - (7.0 / 9)), (float)(1 - (7.0 / 9)), (float)(7.0 / 9)], targets);
    }

    [TestMethod]
    public void The_share_of_a_cut_is_that_of_its_area_and_boxes_lie_in_the_image()
    {
        var options = new SiglipAugmentationOptions { CutMixAlpha = 1 };
        var random = new Random(6);
        BatchMix[] mixes = [.. Enumerable.Range(0, 500).Select(_ => BatchMix.Draw(random, 20, 10, options)!)];

        foreach (BatchMix mix in mixes)
        {
            ImageCrop box = mix.Box!.Value;
            Assert.IsTrue(box.Left >= 0 && box.Top >= 0 && box.Width >= 0 && box.Height >= 0 && box.Left + box.Width <= 20 && box.Top + box.Height <= 10, $"{box}");
            Assert.AreEqual(1 - (box.Width * box.Height / 200.0), mix.Share, 1e-12);
        }

        Assert.IsGreaterThan(100, mixes.Select(mix => mix.Box).Distinct().Count());
    }

    [TestMethod]
    public void Batches_are_mixed_as_often_as_asked_and_in_both_ways_equally_often()
    {
        var random = new Random(7);
        BatchMix?[] mixes = [.. Enumerable.Range(0, 1000).Select(_ =>
            BatchMix.Draw(random, 8, 8, new SiglipAugmentationOptions { MixupAlpha = 0.2, CutMixAlpha = 1, MixProbability = 0.5 }))];

        Assert.AreEqual(500, mixes.Count(mix => mix is null), 60);
        Assert.AreEqual(250, mixes.Count(mix => mix is { Box: null }), 50);
        Assert.IsNull(BatchMix.Draw(random, 8, 8, new SiglipAugmentationOptions()));
    }

    [TestMethod]
    [DataRow(0.1)]
    [DataRow(0.4)]
    [DataRow(1.0)]
    [DataRow(3.0)]
    [DataRow(100.0)]
    public void Shares_have_mean_and_variance_of_the_beta_distribution(double alpha)
    {
        var random = new Random(8);
        double[] shares = [.. Enumerable.Range(0, 20_000).Select(_ => BetaDistribution.Draw(random, alpha))];

        double mean = shares.Average(), variance = shares.Average(share => (share - mean) * (share - mean)), expected = 1 / (4 * ((2 * alpha) + 1));
        Assert.AreEqual(0.5, mean, 5 * Math.Sqrt(expected / shares.Length)); // five standard errors
        Assert.AreEqual(expected, variance, expected * 0.06);
        Assert.IsTrue(shares.All(share => share is >= 0 and <= 1));
    }
}
