namespace Siglip.Core.Tests;

[TestClass]
public sealed class ImageResizerTests
{
    [TestMethod]
    [DynamicData(nameof(ReferenceImages.Names), typeof(ReferenceImages))]
    public void Resizing_gives_the_pixels_of_Pillow(string name)
    {
        RgbImage image = RgbImage.Load(ReferenceImages.PathOf(name));
        List<KeyValuePair<string, ReferenceTensor>> expected = ReferenceImages.Expected(name, "resized_");
        Assert.IsGreaterThanOrEqualTo(2, expected.Count);

        foreach ((string tensor, ReferenceTensor pixels) in expected)
        {
            (ImageResampling resampling, int size) = ReferenceImages.Settings(tensor);
            RgbImage resized = ImageResizer.Resize(image, size, size, resampling);
            ParityReport.OfThisRun.CheckIdentical(ParityArea.Preprocessing, "image files", $"{name} {tensor}", "resized pixels",
                ReferenceImages.LargestDifference(resized.Data, pixels.Bytes));
        }
    }

    [TestMethod]
    public void Resizing_to_larger_sizes_gives_the_pixels_of_Pillow()
    {
        List<(string Image, string Tensor, string Sha256)> expected = ReferenceImages.Hashes("resized_");
        Assert.IsNotEmpty(expected);

        foreach ((string name, string tensor, string sha256) in expected)
        {
            (ImageResampling resampling, int size) = ReferenceImages.Settings(tensor);
            RgbImage resized = ImageResizer.Resize(RgbImage.Load(ReferenceImages.PathOf(name)), size, size, resampling);
            ParityReport.OfThisRun.CheckIdentical(ParityArea.Preprocessing, "image files", $"{name} {tensor}", "resized pixels",
                ReferenceImages.DifferenceFromHash(resized.Data, sha256));
        }
    }

    [TestMethod]
    public void Resizing_as_torchvision_does_gives_its_pixels()
    {
        List<(string Image, string Tensor, string Sha256)> hashes = ReferenceImages.Hashes("torchvision_resized_");
        Assert.HasCount(2 * ReferenceImages.Names.Count(), hashes);
        Dictionary<string, ReferenceTensor> values = ReferenceData.Tensors("preprocess", "torchvision.safetensors");
        Assert.HasCount(12, values);

        foreach ((string name, string tensor, string sha256) in hashes)
        {
            (ImageResampling resampling, int size) = ReferenceImages.Settings(tensor);
            RgbImage resized = ImageResizer.Resize(RgbImage.Load(ReferenceImages.PathOf(name)), size, size, resampling, SiglipImageBackend.Torchvision);
            double difference = values.Remove($"{name}/{tensor}", out ReferenceTensor? expected)
                ? ReferenceImages.LargestDifference(resized.Data, expected.Bytes)
                : ReferenceImages.DifferenceFromHash(resized.Data, sha256);
            ParityReport.OfThisRun.CheckIdentical(
                ParityArea.Preprocessing, "image files, torchvision", $"{name} {tensor}", "resized pixels", difference);
        }

        Assert.IsEmpty(values);
    }

    [TestMethod]
    [DataRow(ImageResampling.Bilinear, 1)]
    [DataRow(ImageResampling.Bicubic, 2)]
    public void The_two_backends_differ_but_little(ImageResampling resampling, int levels)
    {
        RgbImage image = RgbImage.Load(ReferenceImages.PathOf("photo_420.jpg"));
        RgbImage torchvision = ImageResizer.Resize(image, 224, 224, resampling, SiglipImageBackend.Torchvision);

        Assert.IsInRange(1, levels, ReferenceImages.LargestDifference(torchvision.Data, ImageResizer.Resize(image, 224, 224, resampling).Data));
    }

    [TestMethod]
    public void Resizing_a_turned_image_gives_the_pixels_of_Pillow()
    {
        const string Name = "exif_orientation_6.jpg", Prefix = "exif_applied.resized_";
        RgbImage image = RgbImage.Load(ReferenceImages.PathOf(Name), applyExifOrientation: true);
        List<KeyValuePair<string, ReferenceTensor>> expected = ReferenceImages.Expected(Name, Prefix);
        Assert.IsNotEmpty(expected);

        foreach ((string tensor, ReferenceTensor pixels) in expected)
        {
            (ImageResampling resampling, int size) = ReferenceImages.Settings(tensor);
            ParityReport.OfThisRun.CheckIdentical(ParityArea.Preprocessing, "image files turned by their EXIF data", $"{Name} {tensor}", "resized pixels",
                ReferenceImages.LargestDifference(ImageResizer.Resize(image, size, size, resampling).Data, pixels.Bytes));
        }
    }

    [TestMethod]
    [DataRow(ImageResampling.Bilinear)]
    [DataRow(ImageResampling.Bicubic)]
    public void Resizing_to_the_same_size_changes_nothing(ImageResampling resampling)
    {
        RgbImage image = ReferenceImages.Noise(31, 17, seed: 1);

        AssertSame(image.Data, ImageResizer.Resize(image, 31, 17, resampling), "");
    }

    [TestMethod]
    [DataRow(ImageResampling.Bilinear, 7, 90)]
    [DataRow(ImageResampling.Bicubic, 7, 90)]
    [DataRow(ImageResampling.Bilinear, 90, 7)]
    [DataRow(ImageResampling.Bicubic, 90, 7)]
    public void Both_axes_at_once_are_the_same_as_columns_first_and_rows_after_them(ImageResampling resampling, int width, int height)
    {
        RgbImage image = ReferenceImages.Noise(50, 40, seed: 2);
        RgbImage columns = ImageResizer.Resize(image, width, 40, resampling);

        AssertSame(ImageResizer.Resize(columns, width, height, resampling).Data, ImageResizer.Resize(image, width, height, resampling), "");
    }

    [TestMethod]
    [DataRow(ImageResampling.Bilinear)]
    [DataRow(ImageResampling.Bicubic)]
    public void One_colour_stays_that_colour_at_every_size(ImageResampling resampling)
    {
        foreach (int width in new[] { 1, 2, 13, 100 })
        {
            foreach (int height in new[] { 1, 3, 64, 257 })
            {
                byte[] pixels = [.. Enumerable.Repeat(new byte[] { 0, 255, 113 }, width * height).SelectMany(colour => colour)];
                RgbImage resized = ImageResizer.Resize(new RgbImage(width, height, pixels), 29, 31, resampling);
                for (int i = 0; i < resized.Data.Length; i++)
                    Assert.AreEqual(new byte[] { 0, 255, 113 }[i % 3], resized.Data[i], $"{width} x {height}, value {i}");
            }
        }
    }

    [TestMethod]
    public void Resizing_leaves_the_image_itself_alone()
    {
        RgbImage image = ReferenceImages.Noise(40, 30, seed: 3);
        byte[] before = image.Data.ToArray();

        ImageResizer.Resize(image, 20, 50, ImageResampling.Bicubic);

        AssertSame(before, image, "");
    }

    [TestMethod]
    public void Resizing_allocates_the_result_and_the_weights_but_nothing_for_each_row()
    {
        const ImageResampling Bicubic = ImageResampling.Bicubic;
        RgbImage image = ReferenceImages.Noise(90, 1000, seed: 8);
        long needed = 40 * 900 * 3
            + Allocated(() => new ResamplingWeights(90, 40, Bicubic, SiglipImageBackend.Pillow))
            + Allocated(() => new ResamplingWeights(1000, 900, Bicubic, SiglipImageBackend.Pillow));

        // The least of several runs: the first one may fill the pool of buffers.
        long allocated = Enumerable.Range(0, 5).Min(_ => Allocated(() => ImageResizer.Resize(image, 40, 900, Bicubic)));

        Assert.IsLessThan(needed + 1000, allocated);
    }

    private static long Allocated(Func<object> create)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        GC.KeepAlive(create());
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    [TestMethod]
    public void A_size_that_is_too_large_on_the_way_is_refused_by_name()
    {
        var image = new RgbImage(1, 100_000, new byte[300_000]);

        ArgumentOutOfRangeException error = Assert.ThrowsExactly<ArgumentOutOfRangeException>(
            () => ImageResizer.Resize(image, 65_535, 2, ImageResampling.Bicubic));

        Assert.AreEqual("width", error.ParamName);
        Assert.Contains("65535 x 100000 pixels are too many, expected at most 178,956,970.", error.Message);
    }

    [TestMethod]
    public void Impossible_arguments_are_refused()
    {
        RgbImage image = ReferenceImages.Noise(4, 4, seed: 4);
        const ImageResampling Bicubic = ImageResampling.Bicubic;
        AssertRefused("width", "Expected a side from 1 to 65535 pixels.", () => ImageResizer.Resize(image, 0, 4, Bicubic));
        AssertRefused("height", "Expected a side from 1 to 65535 pixels.", () => ImageResizer.Resize(image, 4, 65_536, Bicubic));
        AssertRefused(
            "height", "50000 x 50000 pixels are too many, expected at most 178,956,970.",
            () => ImageResizer.Resize(image, 50_000, 50_000, Bicubic));
        AssertRefused("resampling", "Expected Bilinear (2) or Bicubic (3).", () => ImageResizer.Resize(image, 2, 2, 0));
        AssertRefused("backend", "Expected Pillow (0) or Torchvision (1).", () => ImageResizer.Resize(image, 2, 2, Bicubic, (SiglipImageBackend)2));
        Assert.ThrowsExactly<ArgumentNullException>(() => ImageResizer.Resize(null!, 4, 4, ImageResampling.Bicubic));
    }

    private static void AssertRefused(string parameter, string message, Action action)
    {
        ArgumentOutOfRangeException error = Assert.ThrowsExactly<ArgumentOutOfRangeException>(action);
        Assert.AreEqual(parameter, error.ParamName);
        StringAssert.StartsWith(error.Message, message);
    }

    private static void AssertSame(ReadOnlySpan<byte> expected, RgbImage actual, string what)
    {
        Assert.AreEqual(expected.Length, actual.Data.Length, what);
        for (int i = 0; i < expected.Length; i++)
            Assert.AreEqual(expected[i], actual.Data[i], $"{what}, pixel {i / 3 % actual.Width}, {i / 3 / actual.Width}, channel {i % 3}");
    }
}
