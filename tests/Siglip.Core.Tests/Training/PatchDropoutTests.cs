using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class PatchDropoutTests
{
    private static readonly SiglipVisionConfig Config = ColouredImages.Config with { PatchSize = 2, AttentionDropout = 0.2 }; // 16 patches

    private static readonly SiglipTrainingOptions HalfOfThePatches = new() { Epochs = 3, BatchSize = 4, LearningRate = 1e-2, Seed = 5, PatchDropout = 0.5 };

    [TestMethod]
    [DataRow(0.25, 12)]
    [DataRow(0.5, 8)]
    [DataRow(0.7, 5)]
    [DataRow(0.9, 2)]
    [DataRow(0.99, 1)]
    public void So_many_different_patches_of_each_image_stay_each_at_its_own_position(double share, int kept)
    {
        TorchNative.Ensure();
        using DisposeScope scope = NewDisposeScope();
        manual_seed(1);
        var vision = new SiglipVisionTransformer(Config);
        Tensor pixelValues = randn(3, 3, 8, 8);

        Tensor all = vision.Forward(pixelValues, new SiglipForwardOptions { OutputHiddenStates = true }).HiddenStates![0]; // [batch, patches, hidden]
        Tensor some = vision.Forward(pixelValues, new SiglipForwardOptions { OutputHiddenStates = true, PatchDropout = share }).HiddenStates![0];

        CollectionAssert.AreEqual((long[])[3, kept, 16], some.shape);
        Tensor same = some.unsqueeze(2).eq(all.unsqueeze(1)).all(3); // [batch, kept, patches]
        Assert.AreEqual(3 * kept, same.sum().item<long>(), "each is one of the image's");
        Assert.AreEqual(3 * kept, same.any(1).sum().item<long>(), "none is there twice");
        if (kept is > 1 and < 12)
            Assert.IsFalse(same.any(1)[0].eq(same.any(1)[1]).all().item<bool>(), "each image has its own");
    }

    [TestMethod]
    public void The_first_epochs_leave_patches_out_and_the_others_do_not()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 4);
        float[] without = Train(HalfOfThePatches with { PatchDropout = 0 }, dataset);

        CollectionAssert.AreEqual(without, Train(HalfOfThePatches with { PatchDropoutEpochs = 0 }, dataset), "no epoch");
        float[] all = Train(HalfOfThePatches, dataset), one = Train(HalfOfThePatches with { PatchDropoutEpochs = 1 }, dataset);
        CollectionAssert.AreNotEqual(without, one);
        CollectionAssert.AreNotEqual(all, one);
        CollectionAssert.AreEqual(all, Train(HalfOfThePatches with { PatchDropoutEpochs = 3 }, dataset), "all three epochs");
        CollectionAssert.AreEqual(all, Train(HalfOfThePatches, dataset), "the same seed");
        CollectionAssert.AreNotEqual(all, Train(HalfOfThePatches with { Seed = 6 }, dataset), "another seed");
    }

    [TestMethod]
    public void Killed_and_resumed_a_training_ends_with_the_same_weights_to_the_bit()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("images"), imagesPerClass: 4);
        SiglipTrainingOptions options = HalfOfThePatches with { PatchDropoutEpochs = 2, StatePath = folder.File("state.safetensors"), StateInterval = 1 };
        float[] expected = Train(options, dataset);

        for (int killed = 1; killed <= 6; killed++)
        {
            File.Delete(options.StatePath!);
            Assert.ThrowsExactly<TimeZoneNotFoundException>(() => Train(options, dataset, killed));
            CollectionAssert.AreEqual(expected, Train(options with { Resume = true }, dataset), $"killed in step {killed}");
        }
    }

    // All weights that a training ends with.
    private static float[] Train(SiglipTrainingOptions options, ImageFolderDataset dataset, int killedIn = 0)
    {
        TorchNative.Ensure();
        manual_seed(1);
        using var model = new SiglipForImageClassification(Config, dataset.Labels);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, options);
        trainer.Train(dataset, progress: new Killer(killedIn));
        using DisposeScope scope = NewDisposeScope();
        return [.. model.named_parameters().SelectMany(entry => entry.parameter.detach().data<float>().ToArray())];
    }

    private sealed class Killer(int step) : IProgress<SiglipTrainingProgress>
    {
        public void Report(SiglipTrainingProgress value)
        {
            if (value.Step == step)
                throw new TimeZoneNotFoundException();
        }
    }
}
