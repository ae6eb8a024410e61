namespace Siglip.Core.Tests;

[TestClass]
public sealed class ImageFolderSplitsTests
{
    [TestMethod]
    [DataRow("train", "val", "test")]
    [DataRow("training", "validation", "testing")]
    [DataRow("Train", "Valid", "TEST")]
    public void A_divided_folder_gives_its_parts(string train, string validation, string test)
    {
        using TemporaryFolder folder = With($"{train}/cat/1.png", $"{train}/dog/a/2.png", $"{train}/dog/notes.txt", $"{validation}/cat/3.png", $"{validation}/dog/4.png", $"{test}/x.png", ".cache/1.png");

        var splits = ImageFolderSplits.Open(folder.Path);

        Assert.AreEqual((2, 2), (splits.Training.Count, splits.Validation!.Count));
        Assert.AreEqual(folder.File($"{train}/dog/a/2.png"), splits.Training.Images[1].Path);
        CollectionAssert.AreEqual((string[])[folder.File($"{train}/dog/notes.txt")], splits.Training.LeftOut.ToArray());
        Assert.AreEqual(folder.File(test), splits.TestFolder);
        Assert.Contains(
            "is divided into",
            Assert.ThrowsExactly<InvalidDataException>(() => ImageFolderDataset.Open(folder.Path)).Message);
    }

    [TestMethod]
    public void Class_folders_alone_are_the_training_images()
    {
        using TemporaryFolder folder = With("cat/1.png", "dog/1.png");

        var splits = ImageFolderSplits.Open(folder.Path);

        Assert.AreEqual(2, splits.Training.Count);
        Assert.IsNull(splits.Validation);
        Assert.IsNull(splits.TestFolder);
    }

    [TestMethod]
    public void A_class_may_be_called_train()
    {
        using TemporaryFolder folder = With("bus/1.png", "train/1.png");

        CollectionAssert.AreEqual((string[])["bus", "train"], ImageFolderSplits.Open(folder.Path).Training.Labels.ToArray());
    }

    [TestMethod]
    public void Classes_that_differ_are_listed()
    {
        using TemporaryFolder folder = With("train/cat/1.png", "train/dog/1.png", "train/emu/1.png", "val/cat/1.png", "val/fox/1.png");

        string message = Assert.ThrowsExactly<InvalidDataException>(() => ImageFolderSplits.Open(folder.Path)).Message;

        Assert.Contains("differ: 'dog', 'emu' are only in the former, 'fox' is only in the latter; expected the same names in both", message);
        Assert.Contains(folder.File("train"), message);
        Assert.Contains(folder.File("val"), message);
    }

    [TestMethod]
    public void One_image_of_a_class_is_enough_to_train_on_but_not_to_divide()
    {
        using TemporaryFolder folder = With("train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "val/dog/1.png");

        ImageFolderDataset training = ImageFolderSplits.Open(folder.Path).Training;

        Assert.AreEqual(2, training.Count);
        Assert.Contains("add images, or hold none out", Assert.ThrowsExactly<InvalidDataException>(() => training.Split(0.5, 0)).Message);
    }

    [TestMethod]
    public void Each_kind_of_bad_division_gets_its_sentence()
    {
        using TemporaryFolder twice = With("train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "val/dog/1.png", "validation/cat/1.png");
        Assert.Contains("holds val and validation, which mean the same; keep one", Refused(twice));

        using TemporaryFolder flat = With("train/cat/1.png", "train/dog/1.png", "val/1.png");
        Assert.Contains($"'{flat.File("val")}' has no class folders", Refused(flat));

        using TemporaryFolder empty = With("train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "val/dog/notes.txt");
        Assert.Contains("holds no images", Refused(empty));

        Assert.Contains("' is divided into train, val, expected class folders; name one of its parts.", Assert.ThrowsExactly<InvalidDataException>(() => ImageFolderDataset.Open(empty.Path, 1)).Message);
        Assert.ThrowsExactly<DirectoryNotFoundException>(() => ImageFolderSplits.Open(empty.File("none")));

        static string Refused(TemporaryFolder folder) => Assert.ThrowsExactly<InvalidDataException>(() => ImageFolderSplits.Open(folder.Path)).Message;
    }

    private static TemporaryFolder With(params string[] files)
    {
        var folder = new TemporaryFolder();
        foreach (string file in files)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(folder.File(file))!);
            File.WriteAllText(folder.File(file), "");
        }

        return folder;
    }
}
