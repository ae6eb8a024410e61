namespace Siglip.Core.Tests;

[TestClass]
public sealed class ImageFolderDatasetTests
{
    [TestMethod]
    public void Labels_are_the_folders_in_ordinal_order()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 3);

        CollectionAssert.AreEqual((string[])["blue", "red"], dataset.Labels.ToArray());
        Assert.HasCount(6, dataset.Images);
        Assert.AreEqual(Path.Combine(folder.Path, "red", "0.png"), dataset.Images[3].Path);
        Assert.AreEqual(1, dataset.Images[3].Label);
    }

    [TestMethod]
    public void Hidden_files_and_folders_are_left_out_and_nested_ones_taken_in_order()
    {
        using var folder = new TemporaryFolder();
        foreach (string name in (string[])["cat/b/1.png", "cat/b.png", "cat/a.png", "cat/._a.png", "cat/.ipynb_checkpoints/a-checkpoint.png", "dog/1.png", ".git/1.png"])
        {
            Directory.CreateDirectory(Path.GetDirectoryName(folder.File(name))!);
            File.WriteAllText(folder.File(name), "");
        }

        ImageFolderDataset dataset = ImageFolderDataset.Open(folder.Path);

        CollectionAssert.AreEqual(
            (string[])["cat/a.png", "cat/b.png", "cat/b/1.png", "dog/1.png"],
            dataset.Images.Select(image => Path.GetRelativePath(folder.Path, image.Path).Replace('\\', '/')).ToArray());
    }

    [TestMethod]
    [OSCondition(ConditionMode.Exclude, OperatingSystems.Windows)]
    public void Linked_files_are_images_but_linked_folders_are_not_entered()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset plain = ColouredImages.Write(folder.Path, imagesPerClass: 1);
        Directory.CreateSymbolicLink(folder.File("red/loop"), folder.Path);
        File.CreateSymbolicLink(folder.File("red/1.png"), plain.Images[0].Path);

        CollectionAssert.AreEqual(
            (string[])[folder.File("blue/0.png"), folder.File("red/0.png"), folder.File("red/1.png")],
            ImageFolderDataset.Open(folder.Path).Images.Select(image => image.Path).ToArray());
    }

    [TestMethod]
    public void A_split_keeps_the_proportion_of_the_classes_and_every_image_once()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 10);

        (ImageFolderDataset kept, ImageFolderDataset heldOut) = dataset.Split(0.2, seed: 3);

        Assert.AreEqual(2, heldOut.Images.Count(image => image.Label == 0));
        Assert.AreEqual(2, heldOut.Images.Count(image => image.Label == 1));
        CollectionAssert.AreEquivalent(dataset.Images.ToArray(), kept.Images.Concat(heldOut.Images).ToArray());
        CollectionAssert.AreEqual(heldOut.Images.ToArray(), dataset.Split(0.2, seed: 3).HeldOut.Images.ToArray());
    }

    [TestMethod]
    public void Each_kind_of_bad_folder_gets_its_sentence()
    {
        using var folder = new TemporaryFolder();
        string root = folder.Path;

        Assert.Contains("does not exist; expected one folder per class", Refused<DirectoryNotFoundException>(Path.Combine(root, "none")));
        Assert.Contains("is empty; expected one folder per class", Refused<InvalidDataException>(root));

        File.WriteAllText(Path.Combine(root, "photo.png"), "");
        Assert.Contains("has no class folders", Refused<InvalidDataException>(root));

        string cat = Directory.CreateDirectory(Path.Combine(root, "cat")).FullName;
        File.WriteAllText(Path.Combine(cat, "1.png"), "");
        Assert.Contains("has one class only, 'cat'", Refused<InvalidDataException>(root));

        string dog = Directory.CreateDirectory(Path.Combine(root, "dog")).FullName;
        File.WriteAllText(Path.Combine(dog, "notes.txt"), "");
        Assert.Contains($"The class folder '{dog}' holds no images", Refused<InvalidDataException>(root));

        File.WriteAllText(Path.Combine(dog, "1.png"), "");
        Assert.Contains("The class 'cat' has one image only", Assert.ThrowsExactly<InvalidDataException>(() => ImageFolderDataset.Open(root).Split(0.2, 0)).Message);
    }

    private static string Refused<TException>(string folder)
        where TException : Exception =>
        Assert.ThrowsExactly<TException>(() => ImageFolderDataset.Open(folder)).Message;
}
