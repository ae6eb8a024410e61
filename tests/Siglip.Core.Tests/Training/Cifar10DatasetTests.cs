namespace Siglip.Core.Tests;

[TestClass]
public sealed class Cifar10DatasetTests
{
    [TestMethod]
    public void Training_batches_are_read_in_order_and_the_test_batch_by_itself()
    {
        using TemporaryFolder folder = Cifar10Files.Write(imagesPerFile: 3);

        var training = Cifar10Dataset.OpenTraining(folder.Path);
        var test = Cifar10Dataset.OpenTest(folder.Path);

        Assert.AreEqual((15, 3), (training.Count, test.Count));
        CollectionAssert.AreEqual(Cifar10Files.Names, training.Labels.ToArray());
        for (int i = 0; i < 15; i++)
        {
            Assert.AreEqual(i % 10, training.LabelOf(i));
            CollectionAssert.AreEqual(Cifar10Files.Pixels(i), training.Load(i).Data.ToArray(), $"image {i}");
        }

        CollectionAssert.AreEqual(Cifar10Files.Pixels(15), test.Load(0).Data.ToArray());
        Assert.AreEqual($"image 1 of '{folder.File("data_batch_2.bin")}'", training.NameOf(4));
    }

    [TestMethod]
    public void The_training_images_do_not_need_the_test_batch()
    {
        using TemporaryFolder folder = Cifar10Files.Write(imagesPerFile: 1);
        File.Delete(folder.File("test_batch.bin"));

        Assert.AreEqual(5, Cifar10Dataset.OpenTraining(folder.Path).Count);
        Assert.Contains("lacks test_batch.bin;", Assert.ThrowsExactly<FileNotFoundException>(() => Cifar10Dataset.OpenTest(folder.Path)).Message);
    }

    [TestMethod]
    public void A_slice_has_its_images_only()
    {
        using TemporaryFolder folder = Cifar10Files.Write(imagesPerFile: 4);
        Cifar10Dataset slice = Cifar10Dataset.OpenTraining(folder.Path).Slice(6, 12).Slice(2, 5); // 8 to 12

        Assert.AreEqual(5, slice.Count);
        CollectionAssert.AreEqual(Cifar10Files.Pixels(12), slice.Load(4).Data.ToArray());
        Assert.AreEqual($"image 0 of '{folder.File("data_batch_4.bin")}'", slice.NameOf(4));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => slice.Load(5));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => slice.LabelOf(-1));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => slice.Slice(3, 3));
    }

    [TestMethod]
    public void Each_kind_of_bad_file_gets_its_sentence()
    {
        using TemporaryFolder folder = Cifar10Files.Write(imagesPerFile: 2);
        string second = folder.File("data_batch_2.bin"), names = folder.File("batches.meta.txt");
        byte[] whole = File.ReadAllBytes(second);

        File.WriteAllBytes(second, whole[..^1]);
        Assert.Contains("data_batch_2.bin' has 6,145 bytes, expected a multiple of 3,073", Refused());
        File.WriteAllBytes(second, []);
        Assert.Contains("data_batch_2.bin' has 0 bytes, expected a multiple of 3,073", Refused());
        File.WriteAllBytes(second, whole[..3073]);
        Assert.Contains("data_batch_2.bin' has 1 images", Refused());
        using (FileStream long_ = File.Create(second))
            long_.SetLength(10_001L * 3073);
        Assert.Contains("has 30,733,073 bytes, expected a multiple of 3,073 (a class and 32 x 32 pixels), at most 30,730,000", Refused());
        whole[3073] = 10;
        File.WriteAllBytes(second, whole);
        Assert.Contains("Image 1 of '" + second + "' has the class 10, expected 0 to 9", Refused());
        whole[3073] = 9;
        File.WriteAllBytes(second, whole);
        File.WriteAllText(names, "airplane\nairplane\n");
        Assert.Contains("batches.meta.txt' holds 1 different names, expected the 10", Refused());
        File.WriteAllText(names, new string('x', 5000));
        Assert.Contains("batches.meta.txt' holds more than a list of names", Refused());

        File.Delete(second);
        File.Delete(names);
        Assert.Contains(
            "lacks data_batch_2.bin, batches.meta.txt; expected CIFAR-10's binary version",
            Assert.ThrowsExactly<FileNotFoundException>(() => Cifar10Dataset.OpenTraining(folder.Path)).Message);
        Assert.ThrowsExactly<DirectoryNotFoundException>(() => Cifar10Dataset.OpenTraining(folder.File("none")));

        string Refused() => Assert.ThrowsExactly<InvalidDataException>(() => Cifar10Dataset.OpenTraining(folder.Path)).Message;
    }
}
