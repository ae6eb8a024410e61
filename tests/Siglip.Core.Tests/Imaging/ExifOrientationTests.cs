using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class ExifOrientationTests
{
    private const string Turned = "exif_orientation_6.jpg";

    [TestMethod]
    public void Orientation_is_ignored_unless_asked_for()
    {
        RgbImage image = RgbImage.Load(ReferenceImages.PathOf(Turned));

        Assert.AreEqual((320, 240), (image.Width, image.Height));
        Assert.AreEqual(ReferenceImages.Text(Turned, "decoded_rgb_sha256"), Convert.ToHexStringLower(SHA256.HashData(image.Data)));
    }

    [TestMethod]
    public void Orientation_asked_for_gives_the_pixels_of_Pillow()
    {
        RgbImage image = RgbImage.Load(ReferenceImages.PathOf(Turned), applyExifOrientation: true);

        Assert.AreEqual((240, 320), (image.Width, image.Height));
        ParityReport.OfThisRun.CheckIdentical(ParityArea.Preprocessing, "image files turned by their EXIF data", Turned, "decoded pixels",
            ReferenceImages.DifferenceFromHash(image.Data, ReferenceImages.Text(Turned, "decoded_rgb_sha256_exif_applied")));
    }

    [TestMethod]
    [DynamicData(nameof(Orientations))]
    public void JPEG_is_turned_as_its_EXIF_data_say(int orientation)
    {
        byte[] jpeg = ReferenceImages.Bytes(Turned);
        byte[] tag = [0x01, 0x12, 0x00, 0x03, 0x00, 0x00, 0x00, 0x01, 0x00, 0x06];
        int value = jpeg.AsSpan().IndexOf(tag) + tag.Length - 1;
        Assert.AreEqual(6, jpeg[value]);
        jpeg[value] = (byte)orientation;

        AssertTurned(RgbImage.Decode(jpeg), RgbImage.Decode(jpeg, applyExifOrientation: true), orientation);
    }

    [TestMethod]
    [DynamicData(nameof(Orientations))]
    public void PNG_is_turned_as_its_EXIF_data_say(int orientation)
    {
        foreach (bool littleEndian in new[] { false, true })
        {
            byte[] png = EditedPng.WithChunk(ReferenceImages.Bytes("tiny_7x5.png"), "eXIf"u8, Exif(orientation, littleEndian));
            AssertTurned(RgbImage.Decode(png), RgbImage.Decode(png, applyExifOrientation: true), orientation);
        }
    }

    [TestMethod]
    [DynamicData(nameof(Orientations))]
    public void WebP_is_turned_as_its_EXIF_data_say(int orientation)
    {
        byte[] plain = ReferenceImages.Bytes("lossless_alpha.webp"); // RIFF, length, WEBP, one VP8L chunk
        byte[] exif = Exif(orientation, littleEndian: true);
        byte[] extended =
        [
            .. "VP8X"u8, 10, 0, 0, 0, 0x18, 0, 0, 0, 127, 0, 0, 127, 0, 0, // has alpha and EXIF; width - 1, height - 1
            .. plain[12..], .. "EXIF"u8, (byte)exif.Length, 0, 0, 0, .. exif,
        ];
        byte[] webp = [.. "RIFF"u8, 0, 0, 0, 0, .. "WEBP"u8, .. extended];
        BinaryPrimitives.WriteInt32LittleEndian(webp.AsSpan(4), 4 + extended.Length);

        AssertTurned(RgbImage.Decode(plain), RgbImage.Decode(webp, applyExifOrientation: true), orientation);
    }

    [TestMethod]
    [DynamicData(nameof(Orientations))]
    public void An_image_of_one_column_or_row_is_turned_too(int orientation)
    {
        byte[] pixels = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        foreach (RgbImage stored in (RgbImage[])[new(1, 3, pixels), new(3, 1, pixels), new(1, 1, [1, 2, 3])])
            AssertTurned(stored, ExifOrientation.Apply(stored, orientation), orientation);
    }

    [TestMethod]
    public void Image_without_EXIF_data_stays_as_it_is()
    {
        string path = ReferenceImages.PathOf("photo_420.jpg");

        Assert.IsTrue(RgbImage.Load(path, applyExifOrientation: true).Data.SequenceEqual(RgbImage.Load(path).Data));
    }

    [TestMethod]
    public void Damaged_EXIF_data_mean_upright()
    {
        byte[] exif = Exif(6, littleEndian: false);
        Assert.AreEqual(6, ExifOrientation.Read(exif));
        for (int length = 0; length < 20; length++)
            Assert.AreEqual(1, ExifOrientation.Read(exif.AsSpan(0, length)), $"cut after {length} bytes");
        byte[] farAway = Exif(6, littleEndian: false);
        farAway[4] = 0xFF;
        Assert.AreEqual(1, ExifOrientation.Read(farAway));
        byte[] wrongType = Exif(6, littleEndian: false);
        wrongType[13] = 4;
        Assert.AreEqual(1, ExifOrientation.Read(wrongType));
    }

    /// <summary>All eight, and two values that mean nothing.</summary>
    public static IEnumerable<object[]> Orientations => Enumerable.Range(0, 10).Select(orientation => new object[] { orientation });

    // As the EXIF specification puts it: on which side of the upright picture the stored first row and first column are.
    private static void AssertTurned(RgbImage stored, RgbImage upright, int orientation)
    {
        (int w, int h) = (stored.Width, stored.Height);
        Assert.AreEqual(orientation is >= 5 and <= 8 ? (h, w) : (w, h), (upright.Width, upright.Height));
        for (int row = 0; row < h; row++)
        {
            for (int column = 0; column < w; column++)
            {
                (int x, int y) = orientation switch
                {
                    2 => (w - 1 - column, row),          // row 0 is the top, column 0 the right side
                    3 => (w - 1 - column, h - 1 - row),  // bottom, right
                    4 => (column, h - 1 - row),          // bottom, left
                    5 => (row, column),                  // left, top
                    6 => (h - 1 - row, column),          // right, top
                    7 => (h - 1 - row, w - 1 - column),  // right, bottom
                    8 => (row, w - 1 - column),          // left, bottom
                    _ => (column, row),                  // top, left
                };
                Assert.IsTrue(
                    stored.Data.Slice(((row * w) + column) * 3, 3).SequenceEqual(upright.Data.Slice(((y * upright.Width) + x) * 3, 3)),
                    $"row {row}, column {column}");
            }
        }
    }

    // A TIFF header and a directory with one entry.
    private static byte[] Exif(int orientation, bool littleEndian)
    {
        byte value = (byte)orientation;
        return littleEndian
            ? [.. "II*\0"u8, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, value, 0, 0, 0, 0, 0, 0, 0]
            : [.. "MM\0*"u8, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, value, 0, 0, 0, 0, 0, 0];
    }
}
