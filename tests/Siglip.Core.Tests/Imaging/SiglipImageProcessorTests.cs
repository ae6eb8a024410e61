using System.Runtime.InteropServices;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class SiglipImageProcessorTests
{
    [TestMethod]
    public void Pixel_values_are_those_of_transformers()
    {
        List<(string Image, string Tensor, string Sha256)> hashes = ReferenceImages.Hashes("pixel_values_");
        KeyValuePair<string, ReferenceTensor> kept = ReferenceImages.Expected("photo_420.jpg", "pixel_values_").Single();
        CollectionAssert.AreEquivalent(ReferenceImages.Names.Select(name => (string)name[0]).ToArray(), hashes.Select(hash => hash.Image).Distinct().ToArray());

        CheckPixelValues("photo_420.jpg", kept.Key, values => ReferenceImages.LargestDifference(values, kept.Value.Singles));
        foreach ((string name, string tensor, string sha256) in hashes)
            CheckPixelValues(name, tensor, values => ReferenceImages.DifferenceFromHash(MemoryMarshal.AsBytes<float>(values), sha256));
    }

    [TestMethod]
    public void Pixel_values_of_a_turned_image_are_those_of_transformers()
    {
        const string Name = "exif_orientation_6.jpg", Prefix = "exif_applied.pixel_values_";
        RgbImage image = RgbImage.Load(ReferenceImages.PathOf(Name), applyExifOrientation: true);
        List<KeyValuePair<string, ReferenceTensor>> expected = ReferenceImages.Expected(Name, Prefix);
        Assert.IsNotEmpty(expected);

        foreach ((string tensor, ReferenceTensor values) in expected)
        {
            (ImageResampling resampling, int size) = ReferenceImages.Settings(tensor);
            ParityReport.OfThisRun.CheckIdentical(ParityArea.Preprocessing, "image files turned by their EXIF data", $"{Name} {tensor}", "pixel values",
                ReferenceImages.LargestDifference(Processor(size, resampling).Preprocess(image), values.Singles));
        }
    }

    [TestMethod]
    [DataRow(SiglipImageBackend.Pillow, "pil_backend", "")]
    [DataRow(SiglipImageBackend.Torchvision, "torchvision_backend", ", torchvision")]
    public void Every_grey_level_has_the_pixel_value_of_transformers(SiglipImageBackend backend, string tensor, string rows)
    {
        float[] expected = ReferenceData.Tensors("preprocess", "uint8_to_pixel_value.safetensors")[tensor].Singles;
        var processor = new SiglipImageProcessor(new SiglipImageProcessorConfig { Height = 16, Width = 16 }, backend);
        byte[] pixels = [.. Enumerable.Range(0, 256).SelectMany(level => Enumerable.Repeat((byte)level, 3))];

        float[] values = processor.Preprocess(new RgbImage(16, 16, pixels));

        Assert.HasCount(768, values);
        for (int channel = 0; channel < 3; channel++)
            ParityReport.OfThisRun.CheckIdentical(ParityArea.Preprocessing, $"the 256 grey levels, three channels{rows}", $"channel {channel}", "pixel values",
                ReferenceImages.LargestDifference(values.AsSpan(256 * channel, 256), expected));
    }

    [TestMethod]
    [DataRow(false, false, 51f, 102f, 204f)]
    [DataRow(true, false, 0.2f, 0.4f, 0.8f)]
    [DataRow(false, true, (51f - 0.1f) / 0.5f, (102f - 0.2f) / 0.25f, (204f - 0.3f) / 2f)]
    [DataRow(true, true, (0.2f - 0.1f) / 0.5f, (0.4f - 0.2f) / 0.25f, (0.8f - 0.3f) / 2f)]
    public void Rescaling_and_normalizing_are_done_as_configured(bool rescale, bool normalize, float red, float green, float blue)
    {
        var processor = new SiglipImageProcessor(new SiglipImageProcessorConfig
        {
            Height = 1,
            Width = 2,
            DoRescale = rescale,
            DoNormalize = normalize,
            ImageMean = [0.1f, 0.2f, 0.3f],
            ImageStd = [0.5f, 0.25f, 2],
        });

        float[] values = processor.Preprocess(new RgbImage(2, 1, [51, 102, 204, 51, 102, 204]));

        CollectionAssert.AreEqual(new[] { red, red, green, green, blue, blue }, values);
    }

    [TestMethod]
    [DataRow(false, false, 51f, 102f, 204f)]
    [DataRow(true, false, 51f * (float)(1 / 255.0), 102f * (float)(1 / 255.0), 204f * (float)(1 / 255.0))]
    [DataRow(false, true, (51f - 0.1f) / 0.5f, (102f - 0.2f) / 0.25f, (204f - 0.3f) / 2f)]
    [DataRow(true, true, (51f - (0.1f * 255)) / (0.5f * 255), (102f - (0.2f * 255)) / (0.25f * 255), (204f - (0.3f * 255)) / (2f * 255))]
    public void As_in_torchvision_rescaling_and_normalizing_are_one_step_in_float32(bool rescale, bool normalize, float red, float green, float blue)
    {
        var config = new SiglipImageProcessorConfig
        {
            Height = 1,
            Width = 1,
            DoRescale = rescale,
            DoNormalize = normalize,
            ImageMean = [0.1f, 0.2f, 0.3f],
            ImageStd = [0.5f, 0.25f, 2],
        };
        var image = new RgbImage(1, 1, [51, 102, 204]);

        CollectionAssert.AreEqual(new[] { red, green, blue }, new SiglipImageProcessor(config, SiglipImageBackend.Torchvision).Preprocess(image));
    }

    [TestMethod]
    public void A_processor_resizes_as_its_backend_does()
    {
        RgbImage image = RgbImage.Load(ReferenceImages.PathOf("photo_420.jpg"));
        var plain = new SiglipImageProcessorConfig { Height = 56, Width = 56, DoRescale = false, DoNormalize = false };
        byte[] expected = ReferenceData.Tensors("preprocess", "torchvision.safetensors")["photo_420.jpg/torchvision_resized_bicubic_56"].Bytes;
        var processor = new SiglipImageProcessor(plain, SiglipImageBackend.Torchvision);
        float[] values = processor.Preprocess(image);

        Assert.AreEqual(SiglipImageBackend.Torchvision, processor.Backend);
        Assert.AreEqual(SiglipImageBackend.Pillow, new SiglipImageProcessor(plain).Backend);
        CollectionAssert.AreEqual(expected.Select(level => (float)level).ToArray(), Enumerable.Range(0, values.Length).Select(i => values[(i % 3 * 56 * 56) + (i / 3)]).ToArray());
        CollectionAssert.AreNotEqual(values, new SiglipImageProcessor(plain).Preprocess(image));
    }

    [TestMethod]
    public void Patches_are_resized_as_the_backend_does()
    {
        RgbImage image = ReferenceImages.Noise(100, 60, seed: 9);
        var config = new Siglip2ImageProcessorConfig { PatchSize = 8, MaxNumPatches = 20 };
        var processor = new Siglip2ImageProcessor(config, SiglipImageBackend.Torchvision);
        float[] table = ReferenceData.Tensors("preprocess", "uint8_to_pixel_value.safetensors")["torchvision_backend"].Singles;
        var values = new float[processor.PixelValueCount];
        SiglipPatchGrid grid = processor.Preprocess(image, values);
        RgbImage resized = ImageResizer.Resize(image, grid.Columns * 8, grid.Rows * 8, ImageResampling.Bilinear, SiglipImageBackend.Torchvision);

        Assert.AreEqual(SiglipImageBackend.Torchvision, processor.Backend);
        for (int patch = 0; patch < grid.Count; patch++)
        {
            for (int i = 0; i < 8 * 8 * 3; i++)
            {
                int y = (patch / grid.Columns * 8) + (i / 24), x = (patch % grid.Columns * 8) + (i / 3 % 8);
                Assert.AreEqual(table[resized.Data[(((y * resized.Width) + x) * 3) + (i % 3)]], values[(patch * 192) + i]);
            }
        }
    }

    [TestMethod]
    public void Height_and_width_are_not_mixed_up()
    {
        var processor = new SiglipImageProcessor(
            new SiglipImageProcessorConfig { Height = 20, Width = 30, DoRescale = false, DoNormalize = false });
        RgbImage image = ReferenceImages.Noise(64, 48, seed: 5);
        RgbImage resized = ImageResizer.Resize(image, 30, 20, ImageResampling.Bicubic);

        float[] values = processor.Preprocess(image);

        Assert.HasCount(processor.PixelValueCount, values);
        for (int i = 0; i < values.Length; i++)
            Assert.AreEqual(resized.Data[(i % 600 * 3) + (i / 600)], values[i]);
    }

    [TestMethod]
    public void One_number_for_mean_or_standard_deviation_is_for_all_channels()
    {
        var one = SiglipImageProcessorConfig.FromJson("""{ "image_mean": 0.25, "image_std": 2 }""");
        var naFlex = Siglip2ImageProcessorConfig.FromJson("""{ "image_mean": 0.25, "image_std": 2 }""");

        Assert.AreEqual(new SiglipImageProcessorConfig { ImageMean = [0.25f, 0.25f, 0.25f], ImageStd = [2, 2, 2] }, one);
        Assert.AreEqual(new Siglip2ImageProcessorConfig { ImageMean = [0.25f, 0.25f, 0.25f], ImageStd = [2, 2, 2] }, naFlex);
        Assert.Contains("image_std is not three finite numbers other than 0",
            Assert.ThrowsExactly<InvalidDataException>(() => SiglipImageProcessorConfig.FromJson("""{ "image_std": 0 }""")).Message);
    }

    [TestMethod]
    public void Without_resizing_only_the_configured_size_is_accepted()
    {
        var processor = new SiglipImageProcessor(
            new SiglipImageProcessorConfig { Height = 20, Width = 30, DoResize = false, DoRescale = false, DoNormalize = false });
        RgbImage right = ReferenceImages.Noise(30, 20, seed: 6);

        Assert.AreEqual(right.Data[3], processor.Preprocess(right)[1]);
        ArgumentException error = Assert.ThrowsExactly<ArgumentException>(
            () => processor.Preprocess(ReferenceImages.Noise(20, 30, seed: 6)));
        Assert.AreEqual("image", error.ParamName);
        StringAssert.StartsWith(
            error.Message,
            "The image has 20 x 30 pixels (width x height), expected 30 x 20, because do_resize is false. "
            + "Resize the image first, or set do_resize to true.");
    }

    [TestMethod]
    public void Destination_of_another_length_is_refused()
    {
        var processor = new SiglipImageProcessor(new SiglipImageProcessorConfig { Height = 20, Width = 30 });

        ArgumentException error = Assert.ThrowsExactly<ArgumentException>(
            () => processor.Preprocess(ReferenceImages.Noise(3, 3, seed: 7), new float[1799]));

        Assert.AreEqual("destination", error.ParamName);
        StringAssert.StartsWith(error.Message, "The destination has room for 1,799 values, expected 1,800 (3 x 20 x 30).");
    }

    [TestMethod]
    public void Missing_or_impossible_arguments_are_refused()
    {
        var processor = new SiglipImageProcessor(new SiglipImageProcessorConfig());

        Assert.ThrowsExactly<ArgumentNullException>(() => processor.Preprocess(null!));
        Assert.ThrowsExactly<ArgumentNullException>(() => new SiglipImageProcessor(null!));
        Assert.ThrowsExactly<ArgumentException>(() => new SiglipImageProcessor(new SiglipImageProcessorConfig { Height = 0 }));
        Assert.Contains("rescale_factor is 0, by which torchvision divides", Assert.ThrowsExactly<ArgumentException>(
            () => new SiglipImageProcessor(new SiglipImageProcessorConfig { RescaleFactor = 0 }, SiglipImageBackend.Torchvision)).Message);
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => new SiglipImageProcessor(new SiglipImageProcessorConfig(), (SiglipImageBackend)2));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => new Siglip2ImageProcessor(new Siglip2ImageProcessorConfig(), (SiglipImageBackend)2));
    }

    [TestMethod]
    public void Threads_may_share_a_processor()
    {
        var processor = new SiglipImageProcessor(new SiglipImageProcessorConfig { Height = 24, Width = 24 });
        byte[][] files = [ReferenceImages.Bytes("photo_420.jpg"), ReferenceImages.Bytes("rgba.png"), ReferenceImages.Bytes("animated.gif")];
        float[][] alone = [.. files.Select(file => processor.Preprocess(RgbImage.Decode(file)))];

        Parallel.For(0, 60, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i =>
            CollectionAssert.AreEqual(alone[i % 3], processor.Preprocess(RgbImage.Decode(files[i % 3]))));
    }

    private static SiglipImageProcessor Processor(int size, ImageResampling resampling) =>
        new(new SiglipImageProcessorConfig { Height = size, Width = size, Resample = resampling });

    private static void CheckPixelValues(string name, string tensor, Func<float[], double> difference)
    {
        (ImageResampling resampling, int size) = ReferenceImages.Settings(tensor);
        float[] values = Processor(size, resampling).Preprocess(RgbImage.Load(ReferenceImages.PathOf(name)));
        ParityReport.OfThisRun.CheckIdentical(ParityArea.Preprocessing, "image files", $"{name} {tensor}", "pixel values", difference(values));
    }
}
