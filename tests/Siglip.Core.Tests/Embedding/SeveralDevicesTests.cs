using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>What a GPU, or several, would do, as far as the CPU can do it.</summary>
[TestClass]
public sealed class SeveralDevicesTests
{
    private static readonly string[] Images = [.. ((string[])["rgb.png", "chart.png", "wide_1600x9.png", "interlaced.png", "rgb.png"])
        .Select(name => ReferenceModels.PathOf("preprocess", "images", name))];

    [TestMethod]
    [DataRow("models/vision_only", SiglipImageBackend.Pillow)]
    [DataRow("models/odd_size", SiglipImageBackend.Torchvision)]
    public void Grey_levels_that_are_looked_up_on_the_device_give_the_same_bits(string folder, SiglipImageBackend backend)
    {
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(ReferenceModels.PathOf(folder));
        using VisionTower tower = VisionTower.Load(checkpoint, new SiglipImageEmbedderOptions { ImageBackend = backend }).Single();
        Assert.IsTrue(tower.TakesLevels);
        PixelValueBatch values = Filled(tower, asLevels: false), levels = Filled(tower, asLevels: true);
        Assert.AreEqual(0, TensorCount.LeftBy(() =>
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor expected = values.ToTensor(1, Images.Length - 1, CPU), actual = levels.ToTensor(1, Images.Length - 1, CPU);
            CollectionAssert.AreEqual(new long[] { Images.Length - 1, tower.PixelValueCount }, actual.shape);
            Assert.AreEqual(ScalarType.Float32, actual.dtype);
            Assert.IsTrue(expected.bytes.SequenceEqual(actual.contiguous().bytes));
        }));
    }

    [TestMethod]
    [DataRow("models/vision_only")]
    [DataRow("naflex")]
    public async Task Batches_that_are_shared_out_give_every_image_its_embedding_in_order(string folder)
    {
        // Batches of 4 and of 1 images on 3 devices: shares of 1, 1 and 2, and fewer shares than devices.
        var options = new SiglipImageEmbedderOptions { BatchSize = 4 };
        using SiglipImageEmbedder one = SiglipImageEmbedder.FromPretrained(ReferenceModels.PathOf(folder), options);
        using SiglipImageEmbedder several = SiglipImageEmbedder.FromPretrained(ReferenceModels.PathOf(folder), options with { Device = "cpu,cpu,cpu" });
        int index = 0;
        await foreach (SiglipImageEmbedding embedding in several.EmbedAsync(Images.ToAsyncEnumerable(), CancellationToken.None))
        {
            float[] expected = one.Embed(Images[index]);
            Assert.AreEqual(index++, embedding.Index);
            for (int i = 0; i < expected.Length; i++)
                Assert.AreEqual(expected[i], embedding.Values[i], 1e-5);
        }

        Assert.AreEqual(Images.Length, index);
    }

    [TestMethod]
    public void All_outputs_of_a_shared_batch_are_put_together()
    {
        const SiglipEmbeddingOutputs Outputs =
            SiglipEmbeddingOutputs.PatchEmbeddings | SiglipEmbeddingOutputs.PooledEmbedding | SiglipEmbeddingOutputs.MeanPatchEmbedding;
        string folder = ReferenceModels.PathOf("naflex");
        RgbImage[] images = [.. Images.Select(path => RgbImage.Load(path))];
        using SiglipImageEmbedder one = SiglipImageEmbedder.FromPretrained(folder, new SiglipImageEmbedderOptions { Normalize = true });
        using SiglipImageEmbedder two = SiglipImageEmbedder.FromPretrained(folder, new SiglipImageEmbedderOptions { Normalize = true, Device = "cpu,cpu" });
        SiglipImageEmbeddings expected = one.EmbedBatch(images, Outputs), actual = two.EmbedBatch(images, Outputs);
        foreach (SiglipEmbeddingOutputs output in (SiglipEmbeddingOutputs[])
            [SiglipEmbeddingOutputs.PatchEmbeddings, SiglipEmbeddingOutputs.PooledEmbedding, SiglipEmbeddingOutputs.MeanPatchEmbedding])
        {
            Assert.HasCount(expected.Values(output).Length, actual.Values(output));
            for (int i = 0; i < expected.Values(output).Length; i++)
                Assert.AreEqual(expected.Values(output)[i], actual.Values(output)[i], 1e-5);
        }

        CollectionAssert.AreEqual(expected.PatchGrids.ToArray(), actual.PatchGrids.ToArray());
        Assert.AreEqual(0, TensorCount.LeftBy(() => two.EmbedBatch(images, Outputs)));
    }

    [TestMethod]
    public void Disposing_frees_the_models_of_all_devices()
    {
        SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(ReferenceModels.PathOf("models", "so400m_like"), new SiglipImageEmbedderOptions { Device = "cpu,cpu" });
        Tensor weight = embedder.Model.parameters().First();
        embedder.Dispose();
        Assert.IsTrue(weight.IsInvalid);
    }

    [TestMethod]
    public void A_model_that_exists_already_is_on_one_device()
    {
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.PathOf("models", "vision_only"));
        string message = Assert.ThrowsExactly<ArgumentException>(
            () => new SiglipImageEmbedder(model, model.ProcessorConfig!, new SiglipImageEmbedderOptions { Device = "cpu,cpu" })).Message;
        Assert.Contains("'cpu,cpu'", message);
        Assert.Contains("FromPretrained", message);
    }

    private static PixelValueBatch Filled(VisionTower tower, bool asLevels)
    {
        var batch = new PixelValueBatch(tower, asLevels);
        batch.Ensure(Images.Length - 1);
        for (int i = 0; i < Images.Length; i++)
            batch.Preprocess(i, RgbImage.Load(Images[i]));
        return batch;
    }
}
