using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>Checkpoints that are loaded for images of another size than theirs.</summary>
[TestClass]
public sealed class ImageSizeAtLoadingTests
{
    private static string Folder => ReferenceModels.Folder("image_classification");

    [TestMethod]
    [DataRow("image_classification", 48)]
    [DataRow("image_classification", 16)]
    [DataRow("image_classification", 8)]
    [DataRow("image_classification", 37)] // surplus pixels
    [DataRow("bf16", 48)]
    public void The_model_gives_to_the_bit_what_interpolating_in_every_pass_gives(string name, int size)
    {
        using DisposeScope scope = NewDisposeScope();
        using var noGradients = inference_mode();
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(ReferenceModels.Folder(name));
        bool own = checkpoint.Labels is not null;
        string[] labels = own ? [.. checkpoint.Labels!] : ["a", "b"];
        using SiglipForImageClassification model = own ? checkpoint.LoadForImageClassification() : checkpoint.LoadForImageClassification(labels);
        using SiglipForImageClassification resized = own ? checkpoint.LoadForImageClassification(size) : checkpoint.LoadForImageClassification(labels, size);
        if (!own)
            resized.state_dict()["classifier.weight"].copy_(model.state_dict()["classifier.weight"]); // a new one is drawn at random
        Tensor pixelValues = linspace(-1, 1, 2 * 3 * size * size).sin().reshape(2, 3, size, size);

        Tensor logits = resized.call(pixelValues);

        Assert.AreEqual(0, ReferenceModels.LargestDifference(logits, model.Forward(pixelValues, interpolatePositionEncoding: true)));
        Assert.AreEqual(size, resized.Config.ImageSize);
        CollectionAssert.AreEqual(labels, resized.Labels.ToArray());
    }

    [TestMethod]
    public void What_is_saved_is_a_plain_checkpoint_of_the_new_size()
    {
        using var folder = new TemporaryFolder();
        using DisposeScope scope = NewDisposeScope();
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(Folder);
        using SiglipForImageClassification model = checkpoint.LoadForImageClassification(48);
        model.SavePretrained(folder.Path);

        using SiglipCheckpoint saved = SiglipCheckpoint.Open(folder.Path);

        Assert.AreEqual((SiglipVisionConfig)checkpoint.Config with { ImageSize = 48 }, saved.Config);
        Assert.AreEqual((SiglipImageProcessorConfig)checkpoint.ProcessorConfig with { Height = 48, Width = 48 }, saved.ProcessorConfig);
        using SiglipForImageClassification loaded = saved.LoadForImageClassification();
        foreach ((string name, Tensor value) in loaded.state_dict())
            Assert.AreEqual(0, ReferenceModels.LargestDifference(value, model.state_dict()[name]), name);
    }

    [TestMethod]
    public void The_checkpoints_own_size_changes_nothing()
    {
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(Folder);
        using SiglipForImageClassification model = checkpoint.LoadForImageClassification(), same = checkpoint.LoadForImageClassification(((SiglipVisionConfig)checkpoint.Config).ImageSize);

        Assert.AreEqual(model.Config, same.Config);
        foreach ((string name, Tensor value) in same.state_dict())
            Assert.AreEqual(0, ReferenceModels.LargestDifference(value, model.state_dict()[name]), name);
    }

    [TestMethod]
    public void It_can_be_trained_on_images_of_the_new_size()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 2);
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(Folder);
        using SiglipForImageClassification model = checkpoint.LoadForImageClassification(dataset.Labels, 24);
        using var trainer = new SiglipTrainer(model, model.ProcessorConfig!, new SiglipTrainingOptions { Epochs = 1, LearningRate = 1e-2 });

        trainer.Train(dataset);

        using Tensor start = Positions();
        Assert.IsGreaterThan(0, ReferenceModels.LargestDifference(model.state_dict()[ExpectedTensors.PositionEmbedding], start));

        Tensor Positions()
        {
            using SiglipForImageClassification untrained = checkpoint.LoadForImageClassification(dataset.Labels, 24);
            return untrained.state_dict()[ExpectedTensors.PositionEmbedding].clone();
        }
    }

    [TestMethod]
    public void Loading_for_another_size_leaves_no_tensor_behind()
    {
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(Folder);

        Assert.AreEqual(0, TensorCount.LeftBy(() => checkpoint.LoadForImageClassification(["a", "b"], 48).Dispose()));
    }

    [TestMethod]
    public void Sizes_that_no_model_has_are_refused()
    {
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(Folder), naflex = SiglipCheckpoint.Open(ReferenceModels.PathOf("naflex"));
        int patch = checkpoint.Config.PatchSize;

        foreach (int size in (int[])[-1, 0, patch - 1, int.MaxValue])
        {
            string message = Assert.ThrowsExactly<ArgumentException>(() => checkpoint.LoadForImageClassification(size)).Message;
            Assert.StartsWith($"image_size is {size}, expected a whole number from {patch} to ", message);
            Assert.AreEqual(message, Assert.ThrowsExactly<ArgumentException>(() => checkpoint.LoadForImageClassification(["a"], size)).Message);
        }

        Assert.Contains("variable resolution", Assert.ThrowsExactly<InvalidOperationException>(() => naflex.LoadForImageClassification(["a"], 64)).Message);
    }
}
