using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.Versioning;
using System.Text;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class BadImageTests
{
    private string _folder = "";

    [TestInitialize]
    public void CreateFolder() => _folder = Directory.CreateTempSubdirectory("siglip-images-").FullName;

    [TestCleanup]
    public void DeleteFolder() => Directory.Delete(_folder, recursive: true);

    [TestMethod]
    [DynamicData(nameof(ReferenceImages.Names), typeof(ReferenceImages))]
    public void File_cut_anywhere_is_refused(string name)
    {
        byte[] bytes = ReferenceImages.Bytes(name);
        var random = new Random(1);
        IEnumerable<int> ends = Enumerable.Range(0, Math.Min(60, bytes.Length))
            .SelectMany(i => new[] { i, bytes.Length - 1 - i, random.Next(bytes.Length) }).Distinct();
        foreach (int length in ends)
        {
            InvalidDataException error = Assert.ThrowsExactly<InvalidDataException>(
                () => RgbImage.Decode(bytes.AsMemory(0, length)), $"cut after {length} of {bytes.Length} bytes");
            StringAssert.StartsWith(error.Message, "the image is ");
        }
    }

    [TestMethod]
    [DataRow("photo_420.jpg", "JPEG")]
    [DataRow("progressive_422.jpg", "JPEG")]
    [DataRow("rgb.png", "PNG")]
    [DataRow("interlaced.png", "PNG")]
    [DataRow("lossy.webp", "WebP")]
    [DataRow("animated.gif", "GIF")]
    [DataRow("rgb24.bmp", "BMP")]
    public void Truncated_file_is_called_so(string name, string format)
    {
        byte[] bytes = ReferenceImages.Bytes(name)[..2000];

        InvalidDataException error = Assert.ThrowsExactly<InvalidDataException>(() => RgbImage.Decode(bytes, "'a.xyz'"));

        Assert.AreEqual(
            $"'a.xyz' is a truncated {format} file: its 2,000 bytes end before the image does. Copy or download it again.", error.Message);
    }

    [TestMethod]
    public void End_mark_of_a_JPEG_thumbnail_is_not_taken_for_that_of_the_image()
    {
        byte[] jpeg = ReferenceImages.Bytes("photo_420.jpg");
        byte[] withThumbnail = [0xFF, 0xD8, 0xFF, 0xE1, 0, 6, 0xFF, 0xD8, 0xFF, 0xD9, .. jpeg[2..]];

        Assert.IsTrue(RgbImage.Decode(withThumbnail).Data.SequenceEqual(RgbImage.Decode(jpeg).Data));
        Assert.ThrowsExactly<InvalidDataException>(() => RgbImage.Decode(withThumbnail.AsMemory(0, withThumbnail.Length - 2)));
    }

    [TestMethod]
    public void Missing_file_is_named_with_its_full_path()
    {
        string path = Path.Combine(_folder, "no", "such.png");

        FileNotFoundException error = Assert.ThrowsExactly<FileNotFoundException>(() => RgbImage.Load(path));

        Assert.AreEqual($"The image '{path}' does not exist. Check the path.", error.Message);
        Assert.AreEqual(path, error.FileName);
        string relative = Path.GetRelativePath(Environment.CurrentDirectory, path);
        Assert.AreEqual(path, Assert.ThrowsExactly<FileNotFoundException>(() => RgbImage.Load(relative)).FileName);
    }

    [TestMethod]
    public void Folder_is_refused()
    {
        FileNotFoundException error = Assert.ThrowsExactly<FileNotFoundException>(() => RgbImage.Load(_folder));

        Assert.AreEqual($"'{_folder}' is a folder, expected an image file. Name the files in it one by one.", error.Message);
    }

    [TestMethod]
    public void Locked_file_is_refused()
    {
        string path = Write([1, 2, 3]);
        using FileStream lockedFile = new(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None);

        IOException error = Assert.ThrowsExactly<IOException>(() => RgbImage.Load(path));

        StringAssert.StartsWith(error.Message, $"The image '{path}' cannot be read: ");
    }

    [TestMethod]
    [OSCondition(ConditionMode.Exclude, OperatingSystems.Windows)]
    [UnsupportedOSPlatform("windows")]
    public void File_that_may_not_be_read_is_refused()
    {
        if (Environment.IsPrivilegedProcess)
            Assert.Inconclusive("A privileged process may read everything.");
        string path = Write([1, 2, 3]);
        File.SetUnixFileMode(path, UnixFileMode.None);

        UnauthorizedAccessException error = Assert.ThrowsExactly<UnauthorizedAccessException>(() => RgbImage.Load(path));

        Assert.AreEqual($"The image '{path}' may not be read. Check its permissions.", error.Message);
    }

    [TestMethod]
    public void Empty_file_is_refused()
    {
        string path = Write([]);

        InvalidDataException error = Assert.ThrowsExactly<InvalidDataException>(() => RgbImage.Load(path));

        Assert.AreEqual(
            $"'{path}' is empty (0 bytes), expected a JPEG, PNG, WebP, GIF or BMP file. Copy or download it again.", error.Message);
    }

    [TestMethod]
    [DataRow("<html><body>404 Not Found", "it begins with the text \"<html><body>404 \"")]
    [DataRow("BMW is a car maker in Munich", "it begins with the text \"BMW is a car mak\"")]
    [DataRow("II*\0\b\0\0\0", "it begins with the bytes 49492A0008000000")]
    public void Other_files_are_refused(string contents, string beginning)
    {
        string path = Write(Encoding.ASCII.GetBytes(contents));

        InvalidDataException error = Assert.ThrowsExactly<InvalidDataException>(() => RgbImage.Load(path));

        Assert.AreEqual(
            $"'{path}' is no image that can be read: {beginning}, expected a JPEG, PNG, WebP, GIF or BMP file. Convert or remove it.",
            error.Message);
    }

    [TestMethod]
    public void Damaged_header_is_refused()
    {
        byte[] png = ReferenceImages.Bytes("rgb.png");
        png[18] ^= 1; // the width no longer fits the checksum

        InvalidDataException error = Assert.ThrowsExactly<InvalidDataException>(() => RgbImage.Decode(png, "'a.png'"));

        Assert.AreEqual("'a.png' is a damaged PNG file: its header cannot be read. Copy or download it again.", error.Message);
    }

    [TestMethod]
    public void Damaged_pixels_are_refused()
    {
        byte[] png = ReferenceImages.Bytes("rgb.png");
        png[png.Length / 2] ^= 1;

        InvalidDataException error = Assert.ThrowsExactly<InvalidDataException>(() => RgbImage.Decode(png, "'a.png'"));

        StringAssert.StartsWith(error.Message, "'a.png' is a damaged PNG file: ");
        StringAssert.EndsWith(error.Message, ". Copy or download it again.");
    }

    [TestMethod]
    [DataRow(65_536, 1)]
    [DataRow(1, 65_536)]
    [DataRow(13_378, 13_377)]
    public void Image_that_is_too_large_is_refused_before_its_pixels_are_allocated(int width, int height)
    {
        byte[] png = ReferenceImages.Bytes("one_pixel.png");
        BinaryPrimitives.WriteInt32BigEndian(png.AsSpan(16), width);
        BinaryPrimitives.WriteInt32BigEndian(png.AsSpan(20), height);
        BinaryPrimitives.WriteUInt32BigEndian(png.AsSpan(29), EditedPng.Checksum(png.AsSpan(12, 17)));
        long before = GC.GetAllocatedBytesForCurrentThread();

        InvalidDataException error = Assert.ThrowsExactly<InvalidDataException>(() => RgbImage.Decode(png, "'a.png'"));

        Assert.AreEqual(
            string.Create(
                CultureInfo.InvariantCulture,
                $"'a.png' has {width:N0} x {height:N0} pixels, expected at most 65,535 a side and 178,956,970 in all. Make the image smaller first."),
            error.Message);
        Assert.IsLessThan(100_000, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [TestMethod]
    public void Missing_arguments_are_refused()
    {
        Assert.ThrowsExactly<ArgumentNullException>(() => RgbImage.Load(null!));
        Assert.ThrowsExactly<ArgumentException>(() => RgbImage.Load(""));
        Assert.ThrowsExactly<ArgumentNullException>(() => RgbImage.Decode(new byte[1], null!));
    }

    private string Write(byte[] contents)
    {
        string path = Path.Combine(_folder, "image.jpg");
        File.WriteAllBytes(path, contents);
        return path;
    }
}
