using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>Models whose weights are packed for inference, as embedders load them.</summary>
[TestClass]
public sealed class PackedModelTests
{
    private const SiglipEmbeddingOutputs All = SiglipEmbeddingOutputs.PatchEmbeddings | SiglipEmbeddingOutputs.PooledEmbedding | SiglipEmbeddingOutputs.MeanPatchEmbedding;

    // All activations, head sizes that are no multiple of 8, sizes that are no multiple of the patch; and a model with variable resolution.
    public static IEnumerable<object[]> Models =>
        ((string[])["models/vision_only", "models/so400m_like", "models/odd_size", "models/full_model", "models/image_classification", "naflex"]).Select(model => new object[] { model });

    [TestMethod]
    [DynamicData(nameof(Models))]
    public void Embeddings_in_8_bits_have_the_direction_of_those_in_float32(string model)
    {
        RgbImage[] images = Images();
        using SiglipImageEmbedder single = Load(model, SiglipPrecision.Float32), int8 = Load(model, SiglipPrecision.Int8);
        SiglipImageEmbeddings expected = single.EmbedBatch(images, All), found = int8.EmbedBatch(images, All);
        foreach (SiglipEmbeddingOutputs output in (SiglipEmbeddingOutputs[])[SiglipEmbeddingOutputs.PooledEmbedding, SiglipEmbeddingOutputs.MeanPatchEmbedding])
        {
            for (int i = 0; i < images.Length; i++)
            {
                double cosine = Cosine(expected.Get(output, i), found.Get(output, i));
                Assert.IsGreaterThan(0.995, cosine, $"{output} of image {i}");
                Assert.IsLessThan(1, cosine, "it was not computed in 8 bits");
            }
        }
    }

    [TestMethod]
    public void An_image_s_embedding_in_8_bits_depends_on_no_other_image()
    {
        RgbImage[] images = Images();
        using SiglipImageEmbedder embedder = Load("models/vision_only", SiglipPrecision.Int8);
        float[] alone = embedder.EmbedBatch([images[1]], All).PatchEmbeddings!;
        float[] together = embedder.EmbedBatch(images, All).Get(SiglipEmbeddingOutputs.PatchEmbeddings, 1).ToArray();
        Assert.IsGreaterThan(0.99999, Cosine(alone, together));
    }

    [TestMethod]
    [DataRow("models/vision_only", SiglipPrecision.Float32)]
    [DataRow("models/vision_only", SiglipPrecision.Int8)]
    [DataRow("naflex", SiglipPrecision.Float32)]
    [DataRow("naflex", SiglipPrecision.Int8)]
    public void A_large_batch_is_computed_in_parts(string model, SiglipPrecision precision)
    {
        RgbImage[] images = Images();
        using SiglipImageEmbedder embedder = Load(model, precision);
        int count = (1024 * get_num_threads() / embedder.PatchCount * 2) + 2; // two parts and a rest
        SiglipImageEmbeddings found = embedder.EmbedBatch([.. Enumerable.Range(0, count).Select(i => images[i % 3])], All), few = embedder.EmbedBatch(images, All);
        for (int i = 0; i < count; i++)
        {
            foreach (SiglipEmbeddingOutputs output in (SiglipEmbeddingOutputs[])[SiglipEmbeddingOutputs.PatchEmbeddings, SiglipEmbeddingOutputs.PooledEmbedding])
                Assert.IsGreaterThan(0.99999, Cosine(few.Get(output, i % 3), found.Get(output, i)), $"{output} of image {i}");
        }
    }

    [TestMethod]
    [DataRow(SiglipPrecision.Float32)]
    [DataRow(SiglipPrecision.BFloat16)]
    public void Packed_weights_are_written_as_they_were(SiglipPrecision precision)
    {
        using SiglipImageEmbedder embedder = Load("models/vision_only", precision);
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"), new() { Precision = precision });
        Dictionary<string, Tensor> expected = model.state_dict();
        foreach (SafetensorsPart part in embedder.ToParts(precision.ToDtype()))
        {
            using var stream = new MemoryStream();
            part.WriteBytes(stream);
            Assert.IsTrue(expected[part.Name].bytes.SequenceEqual(stream.ToArray()), part.Name);
            CollectionAssert.AreEqual(expected[part.Name].shape, part.Shape.ToArray(), part.Name);
        }
    }

    [TestMethod]
    [DataRow(SiglipPrecision.Float32)]
    [DataRow(SiglipPrecision.BFloat16)]
    [DataRow(SiglipPrecision.Int8)]
    public void Packed_weights_keep_no_memory_of_the_parameters_for_gradients(SiglipPrecision precision)
    {
        using SiglipImageEmbedder embedder = Load("models/vision_only", precision);
        using Tensor weight = ((SiglipVisionModel)embedder.Model).Encoder.Unpack("layers.0.mlp.fc1.weight");
        Assert.IsFalse(weight.requires_grad);
    }

    [TestMethod]
    public void A_model_written_in_8_bits_and_read_again_gives_the_same_bits()
    {
        RgbImage[] images = Images();
        using SiglipImageEmbedder embedder = Load("models/vision_only", SiglipPrecision.Int8);
        using var stream = new MemoryStream();
        SafetensorsFile.Write(stream, embedder.ToParts(ScalarType.Float32), metadata: null);
        string folder = ReferenceModels.Folder("vision_only");
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.FromStreams(
            File.ReadAllText(Path.Combine(folder, "config.json")), File.ReadAllText(Path.Combine(folder, "preprocessor_config.json")), stream, "memory");
        using var again = SiglipImageEmbedder.Load(checkpoint, new() { Precision = SiglipPrecision.Int8 });

        CollectionAssert.AreEqual(embedder.EmbedBatch(images, All).PatchEmbeddings, again.EmbedBatch(images, All).PatchEmbeddings);
    }

    [TestMethod]
    public void A_model_of_one_s_own_is_packed_for_8_bits_only()
    {
        RgbImage[] images = Images();
        SiglipVisionModel plain = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only")), given = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));
        using var embedder = new SiglipImageEmbedder(plain, plain.ProcessorConfig!);
        using var int8 = new SiglipImageEmbedder(given, given.ProcessorConfig!, new() { Precision = SiglipPrecision.Int8 });
        using SiglipImageEmbedder loaded = Load("models/vision_only", SiglipPrecision.Int8);
        CollectionAssert.AreEqual(loaded.EmbedBatch(images, All).PooledEmbeddings, int8.EmbedBatch(images, All).PooledEmbeddings);
        Assert.IsTrue(plain.state_dict().ContainsKey("vision_model.encoder.layers.0.mlp.fc1.weight"));
    }

    [TestMethod]
    [DataRow(SiglipPrecision.Float32)]
    [DataRow(SiglipPrecision.BFloat16)]
    [DataRow(SiglipPrecision.Int8)]
    public void Embedding_and_disposing_leave_no_tensor(SiglipPrecision precision)
    {
        RgbImage[] images = Images();
        Assert.AreEqual(0, TensorCount.LeftBy(() =>
        {
            using SiglipImageEmbedder embedder = Load("models/vision_only", precision);
            embedder.EmbedBatch(images, All);
        }));
        using SiglipImageEmbedder used = Load("models/vision_only", precision);
        Assert.AreEqual(0, TensorCount.LeftBy(() => used.EmbedBatch(images, All)));
    }

    [TestMethod]
    public void A_packed_encoder_keeps_nothing_between_its_layers()
    {
        using SiglipImageEmbedder embedder = Load("models/vision_only", SiglipPrecision.Float32);
        var model = (SiglipVisionModel)embedder.Model;
        using DisposeScope scope = NewDisposeScope();
        var error = Assert.ThrowsExactly<InvalidOperationException>(() =>
            model.Forward(zeros(1, 3, model.Config.ImageSize, model.Config.ImageSize), new SiglipForwardOptions { OutputHiddenStates = true }));
        Assert.AreEqual("The encoder's weights are packed for inference, which keeps nothing between layers. Load the model as a SiglipVisionModel instead.", error.Message);
    }

    [TestMethod]
    public void Modules_are_not_loaded_in_8_bits()
    {
        var error = Assert.ThrowsExactly<ArgumentOutOfRangeException>(() =>
            SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"), new() { Precision = SiglipPrecision.Int8 }));
        Assert.AreEqual("Precision is Int8, which embedders and featurizers compute in, not modules. Expected Float32, BFloat16 or Float16.", error.Message);
    }

    [TestMethod]
    public void Eight_bits_are_for_the_processor()
    {
        TorchNative.Ensure();
        var error = Assert.ThrowsExactly<ArgumentException>(() => SiglipPrecision.Int8.CheckDevice(new Device(DeviceType.CUDA, 1)));
        Assert.AreEqual("Precision is Int8, which is for the CPU, but the device is 'cuda:1'. Choose BFloat16 or Float16 there.", error.Message);
        SiglipPrecision.BFloat16.CheckDevice(new Device(DeviceType.CUDA, 1));
    }

    private static RgbImage[] Images() =>
        [.. ((string[])["rgb.png", "wide_1600x9.png", "rgb.png"]).Select(file => RgbImage.Load(ReferenceImages.PathOf(file)))];

    private static SiglipImageEmbedder Load(string model, SiglipPrecision precision) =>
        SiglipImageEmbedder.FromPretrained(ReferenceModels.PathOf(model.Split('/')), new() { Precision = precision });

    private static double Cosine(ReadOnlySpan<float> one, ReadOnlySpan<float> other)
    {
        double product = 0, ones = 0, others = 0;
        for (int i = 0; i < one.Length; i++)
            (product, ones, others) = (product + ((double)one[i] * other[i]), ones + ((double)one[i] * one[i]), others + ((double)other[i] * other[i]));
        return product / Math.Sqrt(ones * others);
    }
}
