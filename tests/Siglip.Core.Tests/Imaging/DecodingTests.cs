using System.Buffers.Binary;
using System.IO.Compression;
using System.Runtime.InteropServices;

namespace Siglip.Core.Tests;

/// <summary>The files of Reference/decoding: every kind of image file in the wild, and what Pillow makes of it.</summary>
[TestClass]
public sealed class DecodingTests
{
    private const string UprightPrefix = "exif_applied.";

    private static readonly Dictionary<string, ReferenceTensor> Expected = ReferenceData.Tensors("decoding", "expected.safetensors");

    // Files that Pillow decodes to other pixels: how many values differ, and the largest difference.
    private static readonly Dictionary<string, (int Count, int Largest)> Different = new()
    {
        // Values beyond all bounds: vector instructions, which Pillow's libjpeg-turbo uses, round them differently from SkiaSharp's.
        ["jpeg-damaged-table.jpg"] = (720, 255),
    };

    // Files that are decoded although Pillow refuses them.
    private static readonly string[] RefusedByPillow =
        ["bmp-16-444.bmp", "bmp-32-masks-10-bits.bmp", "bmp-32-masks-rgbx.bmp", "png-rgb-bad-checksum-of-text.png"];

    // Files that are refused; those in Expected are decoded by Pillow.
    private static readonly Dictionary<string, string> Refused = new()
    {
        ["bmp-24-no-padding-at-end.bmp"] = "is a truncated BMP file: its 1,275 bytes end before the image does. Copy or download it again.",
        ["bmp-32-masks-scattered.bmp"] = "is a BMP file with the colour mask 0xF0F00000, expected bits side by side. Convert it to PNG.",
        ["bmp-rle8-ends-early.bmp"] = "is a damaged BMP file: pixels are missing in it. Copy or download it again.",
        ["gif-no-end-mark.gif"] = "is a truncated GIF file: its 346 bytes end before the image does. Copy or download it again.",
        ["jpeg-12-bit.jpg"] = "is a damaged JPEG file: its header cannot be read. Copy or download it again.",
        ["jpeg-lossless-mark.jpg"] = "is a damaged JPEG file: its header cannot be read. Copy or download it again.",
        ["jpeg-no-end-mark.jpg"] = "is a truncated JPEG file: its 1,033 bytes end before the image does. Copy or download it again.",
        ["png-bad-checksum-of-data.png"] = "is a damaged PNG file: its pixels cannot be decoded (ErrorInInput). Copy or download it again.",
        ["png-no-end-mark.png"] = "is a truncated PNG file: its 1,077 bytes end before the image does. Copy or download it again.",
    };

    /// <summary>All expectations that are met exactly.</summary>
    public static IEnumerable<object[]> Identical =>
        Expected.Keys.Where(name => !Different.ContainsKey(name) && !Refused.ContainsKey(name)).Select(name => new object[] { name });

    public static IEnumerable<object[]> DifferentNames => Different.Keys.Select(name => new object[] { name });

    public static IEnumerable<object[]> RefusedNames => Refused.Keys.Select(name => new object[] { name });

    private static IEnumerable<string> Files =>
        Directory.EnumerateFiles(ReferenceData.PathOf("decoding", "files")).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal);

    [TestMethod]
    [DynamicData(nameof(Identical))]
    public void Every_kind_of_file_gives_the_pixels_of_Pillow(string name)
    {
        bool upright = name.StartsWith(UprightPrefix, StringComparison.Ordinal);

        RgbImage image = RgbImage.Load(PathOf(upright ? name[UprightPrefix.Length..] : name), applyExifOrientation: upright);

        CollectionAssert.AreEqual(Expected[name].Shape, new[] { image.Height, image.Width, 3 });
        ParityReport.OfThisRun.CheckIdentical(ParityArea.Preprocessing, upright ? "small files of all variants, turned by their EXIF data" : "small files of all variants",
            name, "decoded pixels", Difference(image, name).Largest);
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    [DynamicData(nameof(DifferentNames))]
    public void What_remains_different_from_Pillow_is_known(string name)
    {
        if (RuntimeInformation.ProcessArchitecture != Architecture.X64)
            Assert.Inconclusive("Counted with the codec for Linux on x64.");

        (int Count, int Largest) difference = Difference(RgbImage.Load(PathOf(name)), name);
        ParityReport.OfThisRun.Check(ParityArea.Preprocessing, $"{name}, whose data are damaged", "decoded pixels", difference.Largest, tolerance: null);
        Assert.AreEqual(Different[name], difference);
    }

    [TestMethod]
    [DynamicData(nameof(RefusedNames))]
    public void What_is_refused_is_known(string name)
    {
        InvalidDataException error = Assert.ThrowsExactly<InvalidDataException>(() => RgbImage.Decode(Bytes(name), "'a.xyz'"));

        Assert.AreEqual("'a.xyz' " + Refused[name], error.Message);
    }

    [TestMethod]
    public void Every_file_has_an_expectation_or_is_refused_by_Pillow()
    {
        string[] without = [.. Files.Where(name => !Expected.ContainsKey(name) && !Refused.ContainsKey(name))];

        CollectionAssert.AreEqual(RefusedByPillow, without);
        foreach (string name in without)
            Assert.IsGreaterThan(0, RgbImage.Load(PathOf(name)).Width);
    }

    [TestMethod]
    public void File_cut_anywhere_is_refused_or_has_lost_nothing_of_the_picture()
    {
        var random = new Random(2);
        int refused = 0;
        foreach (string name in Files.Where(name => !Refused.ContainsKey(name)))
        {
            byte[] bytes = Bytes(name);
            RgbImage whole = RgbImage.Decode(bytes);
            for (int i = 0; i < 10; i++)
            {
                int length = i == 0 ? bytes.Length - 1 : random.Next(bytes.Length);
                try
                {
                    Assert.IsTrue(
                        RgbImage.Decode(bytes.AsMemory(0, length)).Data.SequenceEqual(whole.Data), $"{name} cut after {length} bytes");
                }
                catch (InvalidDataException)
                {
                    refused++;
                }
            }
        }

        Assert.IsGreaterThan(3000, refused);
    }

    [TestMethod]
    public void Damaged_file_is_decoded_or_refused_with_a_sentence()
    {
        const int Seed = 3;
        var random = new Random(Seed);
        foreach (string name in Files)
        {
            for (int i = 0; i < 10; i++)
            {
                byte[] bytes = Bytes(name);
                for (int changes = random.Next(1, 4); changes > 0; changes--)
                    bytes[random.Next(Math.Min(bytes.Length, 200))] = random.Next(3) == 0 ? (byte)0xFF : (byte)random.Next(256);
                try
                {
                    RgbImage.Decode(bytes, applyExifOrientation: true);
                }
                catch (InvalidDataException error)
                {
                    StringAssert.StartsWith(error.Message, "the image ", $"{name}, change {i}, seed {Seed}");
                }
            }
        }
    }

    [TestMethod]
    public void BMP_that_is_too_large_is_refused_before_its_pixels_are_allocated()
    {
        byte[] bmp = Bytes("bmp-rle8-size-0.bmp");
        BinaryPrimitives.WriteInt32LittleEndian(bmp.AsSpan(18), 60_000);
        BinaryPrimitives.WriteInt32LittleEndian(bmp.AsSpan(22), -60_000);
        long before = GC.GetAllocatedBytesForCurrentThread();

        InvalidDataException error = Assert.ThrowsExactly<InvalidDataException>(() => RgbImage.Decode(bmp, "'a.bmp'"));

        Assert.AreEqual(
            "'a.bmp' has 60,000 x 60,000 pixels, expected at most 65,535 a side and 178,956,970 in all. Make the image smaller first.",
            error.Message);
        Assert.IsLessThan(100_000, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [TestMethod]
    [DataRow(4, 24, "compression 4, expected pixels, run lengths or colour masks")]
    [DataRow(1, 24, "24 bits a pixel, expected 8")]
    [DataRow(0, 48, "48 bits a pixel, expected 1, 2, 4, 8, 16, 24, 32")]
    public void BMP_of_an_unknown_kind_is_refused(int compression, int bits, string fault)
    {
        byte[] bmp = Bytes("bmp-24-header-40.bmp");
        bmp = [.. bmp, .. new byte[bmp.Length]];
        bmp[28] = (byte)bits;
        bmp[30] = (byte)compression;

        InvalidDataException error = Assert.ThrowsExactly<InvalidDataException>(() => RgbImage.Decode(bmp, "'a.bmp'"));

        Assert.AreEqual($"'a.bmp' is a BMP file with {fault}. Convert it to PNG.", error.Message);
    }

    [TestMethod]
    public void Metadata_that_inflate_to_a_large_text_are_cut()
    {
        var profile = new MemoryStream();
        profile.Write("Raw profile type exif\0\0"u8);
        using (var compressed = new ZLibStream(profile, CompressionLevel.Optimal, leaveOpen: true))
            compressed.Write(new byte[200 << 20]);
        byte[] png = EditedPng.WithChunk(ReferenceImages.Bytes("tiny_7x5.png"), "zTXt"u8, profile.ToArray());
        long before = GC.GetAllocatedBytesForCurrentThread();

        RgbImage image = RgbImage.Decode(png, applyExifOrientation: true);

        Assert.AreEqual((7, 5), (image.Width, image.Height));
        Assert.IsLessThan(20L << 20, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static string PathOf(string name) => ReferenceData.PathOf("decoding", "files", name);

    private static byte[] Bytes(string name) => File.ReadAllBytes(PathOf(name));

    private static (int Count, int Largest) Difference(RgbImage image, string name)
    {
        byte[] expected = Expected[name].Bytes;
        int count = 0, largest = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            int difference = Math.Abs(expected[i] - image.Data[i]);
            count += difference == 0 ? 0 : 1;
            largest = Math.Max(largest, difference);
        }

        return (count, largest);
    }
}
