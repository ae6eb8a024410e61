using TorchSharp;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class TrainingSourceTests
{
    private static readonly SiglipImageProcessor Processor = new(ColouredImages.Processor);

    private static readonly SiglipAugmentationOptions Everything = new()
    {
        RandomResizedCrop = true,
        ColourOperations = 2,
        MixupAlpha = 0.4,
        CutMixAlpha = 1,
        MaxShift = 0.25,
    };

    [TestMethod]
    public void Batches_are_the_same_for_1_and_8_workers_and_whatever_is_kept_or_made_ahead()
    {
        using TemporaryFolder folder = Cifar10Files.Write(imagesPerFile: 5);
        var images = Cifar10Dataset.OpenTraining(folder.Path);
        var options = new TrainingSourceOptions { BatchSize = 4, Seed = 3, Augmentation = Everything };

        foreach (TrainingSourceOptions settings in (TrainingSourceOptions[])[options with { Workers = 1, ReadAhead = 1, MaxMemory = 0 }, options with { Workers = 8, ReadAhead = 5 }])
        {
            var source = new TrainingSource(images, Processor, settings);
            for (int epoch = 1; epoch <= 3; epoch++)
                AreEqual(Read(new TrainingSource(images, Processor, options), epoch), Read(source, epoch));
        }
    }

    [TestMethod]
    public void A_resumed_epoch_goes_on_with_the_same_batches()
    {
        using TemporaryFolder folder = Cifar10Files.Write(imagesPerFile: 5);
        var images = Cifar10Dataset.OpenTraining(folder.Path);
        var options = new TrainingSourceOptions { BatchSize = 4, Augmentation = Everything };

        List<(float[], float[])> whole = Read(new TrainingSource(images, Processor, options), epoch: 2);

        Assert.HasCount(7, whole); // 25 images
        for (int first = 0; first <= 7; first++)
            AreEqual(whole[first..], Read(new TrainingSource(images, Processor, options), epoch: 2, first));
    }

    [TestMethod]
    public void Each_epoch_has_every_image_once_in_another_order_with_other_changes()
    {
        using TemporaryFolder folder = Cifar10Files.Write(imagesPerFile: 2);
        var images = Cifar10Dataset.OpenTraining(folder.Path);
        var source = new TrainingSource(images, Processor, new TrainingSourceOptions { BatchSize = 3, Seed = 1 });

        int[] first = Classes(Read(source, 1)), second = Classes(Read(source, 2));

        CollectionAssert.AreEquivalent(Enumerable.Range(0, 10).ToArray(), first);
        CollectionAssert.AreEquivalent(first, second);
        CollectionAssert.AreNotEqual(first, second);
        CollectionAssert.AreNotEqual(first, Classes(Read(new TrainingSource(images, Processor, new TrainingSourceOptions { BatchSize = 3, Seed = 2 }), 1)));
        var inOrder = new TrainingSourceOptions { Shuffle = false, Augmentation = new SiglipAugmentationOptions { RandomResizedCrop = true } };
        var unshuffled = new TrainingSource(images, Processor, inOrder);
        CollectionAssert.AreEqual(Enumerable.Range(0, 10).ToArray(), Classes(Read(unshuffled, 1)));
        CollectionAssert.AreNotEqual(Read(unshuffled, 1)[0].PixelValues, Read(unshuffled, 2)[0].PixelValues);
    }

    [TestMethod]
    public void Each_image_is_changed_in_its_own_way()
    {
        using TemporaryFolder folder = Cifar10Files.Write(imagesPerFile: 2);
        var same = new CountedImages(Cifar10Dataset.OpenTraining(folder.Path), alwaysFirst: true);

        float[] plain = Read(new TrainingSource(same, Processor, new TrainingSourceOptions { BatchSize = 10 }), 1).Single().PixelValues;
        float[] cropped = Read(new TrainingSource(same, Processor, new TrainingSourceOptions { BatchSize = 10, Augmentation = Everything with { MixProbability = 0 } }), 1)
            .Single().PixelValues;

        Assert.AreEqual(1, DifferentImages(plain));
        Assert.AreEqual(10, DifferentImages(cropped));

        static int DifferentImages(float[] pixelValues) => pixelValues.Chunk(3 * 8 * 8).Select(image => string.Join(' ', image)).Distinct().Count();
    }

    [TestMethod]
    public void Without_augmentation_pixel_values_are_those_of_inference()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset images = ColouredImages.Write(folder.Path, imagesPerClass: 3);
        var source = new TrainingSource(images, Processor, new TrainingSourceOptions { Shuffle = false, BatchSize = 100 });

        (float[] pixelValues, float[] targets) = Read(source, 1).Single();

        CollectionAssert.AreEqual(images.Images.SelectMany(image => Processor.Preprocess(RgbImage.Load(image.Path))).ToArray(), pixelValues);
        CollectionAssert.AreEqual((float[])[1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1], targets);
        CollectionAssert.AreEqual((string[])["blue", "red"], source.Labels.ToArray());
    }

    [TestMethod]
    public void A_corrupt_image_ends_the_epoch_with_its_name_after_the_batches_before_it()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset images = ColouredImages.Write(folder.Path, imagesPerClass: 4);
        File.WriteAllText(images.Images[5].Path, "no image");
        var source = new TrainingSource(images, Processor, new TrainingSourceOptions { Shuffle = false, BatchSize = 2 });

        int batches = 0;
        var error = Assert.ThrowsExactly<InvalidDataException>(() =>
        {
            foreach (TrainingBatch batch in source.Batches(1, 0, CancellationToken.None))
            {
                batch.Dispose();
                batches++;
            }
        });

        Assert.Contains(images.Images[5].Path, error.Message);
        Assert.AreEqual(2, batches);
    }

    [TestMethod]
    public void Bad_images_are_replaced_by_the_next_and_counted_if_asked_for()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset images = ColouredImages.Write(folder.Path, imagesPerClass: 3);
        byte[] png = File.ReadAllBytes(images.Images[1].Path);
        File.WriteAllBytes(images.Images[1].Path, png[..(png.Length / 2)]);
        File.Delete(images.Images[5].Path);
        var options = new TrainingSourceOptions { Shuffle = false, BatchSize = 4, SkipBadImages = true };
        var source = new TrainingSource(images, Processor, options);

        List<(float[] PixelValues, float[] Targets)> batches = Read(source, 1);

        CollectionAssert.AreEqual(
            ((int[])[0, 2, 2, 3, 4, 0]).SelectMany(index => Processor.Preprocess(images.Load(index))).ToArray(), batches.SelectMany(batch => batch.PixelValues).ToArray());
        CollectionAssert.AreEqual((int[])[0, 0, 0, 1, 1, 0], Classes(batches));
        Read(source, 2); // counted once
        Assert.HasCount(2, source.SkippedImages);
        Assert.Contains(images.Images[1].Path, source.SkippedImages.First());
        Assert.Contains(images.Images[5].Path, source.SkippedImages.Last());
        AreEqual(batches[1..], Read(new TrainingSource(images, Processor, options), 1, firstBatch: 1));
    }

    [TestMethod]
    public void If_no_image_can_be_read_the_training_ends_even_if_bad_ones_are_skipped()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset images = ColouredImages.Write(folder.Path, imagesPerClass: 2);
        foreach (LabeledImage image in images.Images)
            File.WriteAllText(image.Path, "");
        var source = new TrainingSource(images, Processor, new TrainingSourceOptions { SkipBadImages = true });

        Assert.Contains("None of the 4 images can be read", Assert.ThrowsExactly<InvalidDataException>(() => Read(source, 1)).Message);
    }

    [TestMethod]
    public void Decoded_images_are_kept_as_far_as_they_fit()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 4);
        const int Resized = 8 * 8 * 3, Whole = 12 * 10 * 3;

        Assert.AreEqual((8 * Resized, 8), Kept(new TrainingSourceOptions()));
        Assert.AreEqual((3 * Resized, 13), Kept(new TrainingSourceOptions { MaxMemory = (3 * Resized) + 1, Workers = 1 }));
        Assert.AreEqual((0, 16), Kept(new TrainingSourceOptions { MaxMemory = 0 }));
        Assert.AreEqual((8 * Whole, 8), Kept(new TrainingSourceOptions { Augmentation = Everything }));

        (int Bytes, int Loads) Kept(TrainingSourceOptions options)
        {
            var images = new CountedImages(dataset);
            var source = new TrainingSource(images, Processor, options);
            Read(source, 1);
            Read(source, 2);
            return ((int)source.KeptBytes, images.Loads);
        }
    }

    [TestMethod]
    public void No_more_is_read_ahead_than_asked_for()
    {
        using TemporaryFolder folder = Cifar10Files.Write(imagesPerFile: 20);
        var images = new CountedImages(Cifar10Dataset.OpenTraining(folder.Path));
        var source = new TrainingSource(images, Processor, new TrainingSourceOptions { BatchSize = 5, ReadAhead = 3, MaxMemory = 0 });

        using IEnumerator<TrainingBatch> batches = source.Batches(1, 0, CancellationToken.None).GetEnumerator();
        Assert.AreEqual(0, images.Loads);
        Assert.IsTrue(batches.MoveNext());
        batches.Current.Dispose();
        Assert.IsTrue(SpinWait.SpinUntil(() => images.Loads == 20, TimeSpan.FromSeconds(30)), $"{images.Loads}"); // one taken, three waiting
        Thread.Sleep(50);
        Assert.AreEqual(20, images.Loads);
    }

    [TestMethod]
    public void Leaving_early_ends_the_work_and_leaves_no_tensors()
    {
        using TemporaryFolder folder = Cifar10Files.Write(imagesPerFile: 20);
        var images = new CountedImages(Cifar10Dataset.OpenTraining(folder.Path), _ => Thread.Sleep(20)); // so that a load is under way when the loop is left
        var source = new TrainingSource(images, Processor, new TrainingSourceOptions { BatchSize = 5, Augmentation = Everything, MaxMemory = 0 });

        Assert.AreEqual(0, TensorCount.LeftBy(() =>
        {
            foreach (TrainingBatch batch in source.Batches(1, 0, CancellationToken.None))
            {
                batch.Dispose();
                break;
            }
        }));

        Assert.AreEqual(0, images.UnderWay);
        Assert.AreEqual(0, TensorCount.LeftBy(() => Read(source, 1, firstBatch: 18)));
    }

    [TestMethod]
    public void Cancelling_ends_a_loop_that_waits_for_an_image()
    {
        using TemporaryFolder folder = Cifar10Files.Write(imagesPerFile: 4);
        using var cancellation = new CancellationTokenSource();
        var images = new CountedImages(Cifar10Dataset.OpenTraining(folder.Path), load => { if (load == 7) cancellation.Cancel(); });
        var source = new TrainingSource(images, Processor, new TrainingSourceOptions { BatchSize = 4, MaxMemory = 0 });

        Assert.AreEqual(0, TensorCount.LeftBy(() => Assert.Throws<OperationCanceledException>(() => Read(source, 1, 0, cancellation.Token))));
        Assert.IsLessThan(20, images.Loads);
    }

    [TestMethod]
    public void Bad_settings_are_refused()
    {
        using TemporaryFolder folder = Cifar10Files.Write(imagesPerFile: 2);
        var images = Cifar10Dataset.OpenTraining(folder.Path);

        foreach (TrainingSourceOptions options in (TrainingSourceOptions[])[new() { BatchSize = 0 }, new() { Workers = 0 }, new() { ReadAhead = 0 }, new() { MaxMemory = -1 },
            new() { Augmentation = new() { MixupAlpha = -1 } }])
            Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => new TrainingSource(images, Processor, options));
        var huge = new SiglipImageProcessor(new SiglipImageProcessorConfig { Height = 10_000, Width = 10_000 });
        Assert.Contains("A batch of 2 images is too large, expected at most 1", Assert.ThrowsExactly<ArgumentException>(
            () => new TrainingSource(images, huge, new TrainingSourceOptions { BatchSize = 2 })).Message);
        Assert.Contains("no images", Assert.ThrowsExactly<ArgumentException>(() => new TrainingSource(images.Slice(0, 0), Processor, new TrainingSourceOptions())).Message);
    }

    private static List<(float[] PixelValues, float[] Targets)> Read(TrainingSource source, int epoch, int firstBatch = 0, CancellationToken cancellationToken = default)
    {
        TorchNative.Ensure();
        List<(float[], float[])> batches = [];
        foreach (TrainingBatch batch in source.Batches(epoch, firstBatch, cancellationToken))
        {
            using (batch)
            {
                using var scope = torch.NewDisposeScope();
                CollectionAssert.AreEqual((long[])[batch.Count, 3, 8, 8], batch.Inputs.shape);
                CollectionAssert.AreEqual((long[])[batch.Count, source.Labels.Count], batch.Targets.shape);
                batches.Add((batch.Inputs.data<float>().ToArray(), batch.Targets.data<float>().ToArray()));
            }
        }

        return batches;
    }

    private static int[] Classes(List<(float[] PixelValues, float[] Targets)> batches)
    {
        float[] targets = [.. batches.SelectMany(batch => batch.Targets)];
        int classes = batches[0].Targets.Length / (batches[0].PixelValues.Length / (3 * 8 * 8));
        return [.. targets.Chunk(classes).Select(shares => Array.IndexOf(shares, 1))];
    }

    private static void AreEqual(List<(float[] PixelValues, float[] Targets)> expected, List<(float[] PixelValues, float[] Targets)> actual)
    {
        Assert.HasCount(expected.Count, actual);
        for (int i = 0; i < expected.Count; i++)
        {
            CollectionAssert.AreEqual(expected[i].PixelValues, actual[i].PixelValues, $"batch {i}");
            CollectionAssert.AreEqual(expected[i].Targets, actual[i].Targets, $"batch {i}");
        }
    }

    private sealed class CountedImages(ILabeledImages images, Action<int>? loaded = null, bool alwaysFirst = false) : ILabeledImages
    {
        private int _loads, _underWay;

        public int Loads => Volatile.Read(ref _loads);

        public int UnderWay => Volatile.Read(ref _underWay);

        public IReadOnlyList<string> Labels => images.Labels;

        public int Count => images.Count;

        public int LabelOf(int index) => images.LabelOf(index);

        public string NameOf(int index) => images.NameOf(index);

        public RgbImage Load(int index)
        {
            Interlocked.Increment(ref _underWay);
            int load = Interlocked.Increment(ref _loads);
            loaded?.Invoke(load);
            RgbImage image = images.Load(alwaysFirst ? 0 : index);
            Interlocked.Decrement(ref _underWay);
            return image;
        }
    }
}
