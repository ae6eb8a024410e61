using System.Security.Cryptography;
using System.Text.Json;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>Decoding at reduced size, beside Pillow's <c>Image.draft</c>.</summary>
[TestClass]
public sealed class FastDecodingTests
{
    private static readonly JsonElement Drafts =
        JsonDocument.Parse(File.ReadAllText(ReferenceData.PathOf("decoding", "drafts.json"))).RootElement.GetProperty("files");

    /// <summary>Files with undamaged data: of others not even the whole image is the same.</summary>
    public static IEnumerable<object[]> Files =>
        Drafts.EnumerateObject().Where(file => !file.Name.Contains("damaged", StringComparison.Ordinal)).Select(file => new object[] { file.Name });

    [TestMethod]
    [DynamicData(nameof(Files))]
    public void Reduced_images_have_the_pixels_of_Pillow_s_drafts(string name)
    {
        foreach (JsonProperty draft in Drafts.GetProperty(name).EnumerateObject())
        {
            int size = int.Parse(draft.Name);
            RgbImage image = Decode(name, applyExifOrientation: false, size, size);

            Assert.AreEqual(draft.Value.GetString(), Convert.ToHexStringLower(SHA256.HashData(image.Data)), $"for {size} x {size}: {image.Width} x {image.Height}");
        }
    }

    [TestMethod]
    public void At_least_twice_the_size_remains_and_an_image_that_has_no_more_is_decoded_in_full()
    {
        foreach ((int width, int height, int expectedWidth, int expectedHeight) in ((int, int, int, int)[])
            [(1000, 750, 2000, 1500), (501, 375, 2000, 1500), (500, 375, 1000, 750), (251, 100, 1000, 750), (250, 187, 500, 375), (10, 5, 250, 188), (1, 700, 2000, 1500)])
        {
            RgbImage image = Decode("preprocess/images/large.jpg", applyExifOrientation: false, width, height);
            Assert.AreEqual((expectedWidth, expectedHeight), (image.Width, image.Height), $"for {width} x {height}");
        }

        string small = ReferenceImages.PathOf("odd_dims_420.jpg");
        Assert.IsTrue(Decode("preprocess/images/odd_dims_420.jpg", false, 32, 32).Data.SequenceEqual(RgbImage.Load(small).Data));
    }

    [TestMethod]
    public void A_reduced_image_is_turned_and_its_size_is_compared_as_it_will_stand()
    {
        const string Name = "preprocess/images/exif_orientation_6.jpg"; // stored as 320 x 240
        RgbImage stored = Decode(Name, applyExifOrientation: false, 80, 40), turned = Decode(Name, applyExifOrientation: true, 40, 80);

        Assert.AreEqual((160, 120), (stored.Width, stored.Height));
        Assert.IsTrue(ExifOrientation.Apply(stored, 6).Data.SequenceEqual(turned.Data));
        Assert.AreEqual(240, Decode(Name, applyExifOrientation: true, 80, 40).Width, "twice 80 is more than half of its width");
    }

    [TestMethod]
    public void Other_formats_are_decoded_in_full()
    {
        foreach (string name in (string[])["rgb.png", "interlaced.png"])
            Assert.IsTrue(Decode($"preprocess/images/{name}", false, 1, 1).Data.SequenceEqual(RgbImage.Load(ReferenceImages.PathOf(name)).Data), name);
    }

    [TestMethod]
    public void Truncated_and_damaged_files_are_refused_as_without()
    {
        byte[] whole = ReferenceImages.Bytes("photo_420.jpg");
        foreach (byte[] bad in (byte[][])[whole[..(whole.Length / 2)], whole[..^2], [], [.. whole[..3], .. new byte[100]]])
        {
            string expected = Assert.Throws<InvalidDataException>(() => RgbImage.Decode(bad, "'x'")).Message;
            Assert.AreEqual(expected, Assert.Throws<InvalidDataException>(() => ImageDecoder.Decode(bad, "'x'", Reading(false, 8, 8))).Message);
        }
    }

    [TestMethod]
    public void NaFlex_images_keep_their_patches()
    {
        using SiglipImageEmbedder exact = SiglipImageEmbedder.FromPretrained(ReferenceModels.PathOf("naflex")),
            fast = SiglipImageEmbedder.FromPretrained(ReferenceModels.PathOf("naflex"), new() { FastDecode = true });
        foreach (string name in (string[])["large.jpg", "photo_420.jpg", "progressive_422.jpg", "odd_dims_420.jpg"])
        {
            PixelValueBatch one = Batch(exact, name), other = Batch(fast, name);
            Assert.AreEqual(one.Grids(1)[0], other.Grids(1)[0], name);
            Assert.AreEqual(name == "odd_dims_420.jpg", Values(one).SequenceEqual(Values(other)), name);
        }

        static float[] Values(PixelValueBatch batch)
        {
            using Tensor values = batch.ToTensor(0, 1, CPU);
            return ReferenceModels.Values(values);
        }

        static PixelValueBatch Batch(SiglipImageEmbedder embedder, string name)
        {
            PixelValueBatch batch = embedder.CreateBatch();
            batch.Ensure(0);
            using PixelRows rows = ImageDecoder.Open(ReferenceImages.Bytes(name), name, embedder.Reading);
            batch.Preprocess(0, rows);
            return batch;
        }
    }

    [TestMethod]
    public async Task Embeddings_are_near_and_those_of_small_images_the_same()
    {
        using SiglipImageEmbedder exact = SiglipImageEmbedder.FromPretrained("nano"), fast = SiglipImageEmbedder.FromPretrained("nano", new() { FastDecode = true });
        foreach (string name in (string[])["large.jpg", "photo_420.jpg", "photo_444.jpg", "progressive_422.jpg", "exif_orientation_6.jpg"])
        {
            string path = ReferenceImages.PathOf(name);
            float[] reduced = fast.Embed(path), sequence = (await fast.EmbedAsync(Once(path), CancellationToken.None).SingleAsync()).Values;

            CollectionAssert.AreNotEqual(exact.Embed(path), reduced, name);
            Assert.IsGreaterThan(0.98, Cosine(exact.Embed(path), reduced), name);
            CollectionAssert.AreEqual(reduced, sequence, name);
            CollectionAssert.AreEqual(reduced, fast.Embed(File.ReadAllBytes(path)), name);
        }

        CollectionAssert.AreEqual(exact.Embed(ReferenceImages.PathOf("rgb.png")), fast.Embed(ReferenceImages.PathOf("rgb.png")));
        string small = ReferenceData.PathOf("decoding", "files", "jpeg-420.jpg");
        CollectionAssert.AreEqual(exact.Embed(small), fast.Embed(small));

        static IAsyncEnumerable<string> Once(string path) => new[] { path }.ToAsyncEnumerable();
    }

    [TestMethod]
    public void Without_resizing_nothing_is_reduced()
    {
        SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));
        using var embedder = new SiglipImageEmbedder(model, new SiglipImageProcessorConfig { Height = 32, Width = 32, DoResize = false }, new() { FastDecode = true });

        InvalidDataException refusal = Assert.ThrowsExactly<InvalidDataException>(() => embedder.Embed(ReferenceImages.PathOf("photo_420.jpg")));
        StringAssert.Contains(refusal.Message, "The image has 400 x 300 pixels (width x height), expected 32 x 32");
    }

    private static RgbImage Decode(string file, bool applyExifOrientation, int width, int height) =>
        ImageDecoder.Decode(File.ReadAllBytes(ReferenceData.PathOf(file.Split('/'))), $"'{file}'", Reading(applyExifOrientation, width, height));

    private static ImageReading Reading(bool applyExifOrientation, int width, int height) => new(applyExifOrientation, (_, _) => (width, height));

    private static double Cosine(float[] one, float[] other)
    {
        double dot = 0, first = 0, second = 0;
        for (int i = 0; i < one.Length; i++)
        {
            dot += one[i] * other[i];
            first += one[i] * one[i];
            second += other[i] * other[i];
        }

        return dot / Math.Sqrt(first * second);
    }
}
