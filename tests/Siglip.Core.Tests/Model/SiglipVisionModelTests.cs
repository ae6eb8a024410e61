using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class SiglipVisionModelTests
{
    private static readonly SiglipForwardOptions Everything = new() { OutputHiddenStates = true, OutputAttentions = true };

    [TestMethod]
    public void The_default_model_turns_an_image_of_224_pixels_into_196_embeddings_of_length_768()
    {
        using var model = new SiglipVisionModel(new SiglipVisionConfig
        {
            HiddenSize = 768,
            IntermediateSize = 3072,
            NumHiddenLayers = 12,
            NumAttentionHeads = 12,
            ImageSize = 224,
            PatchSize = 16,
        });
        using var noGradients = inference_mode();
        using Tensor pixelValues = zeros(1, 3, 224, 224), embeddings = model.call(pixelValues);
        CollectionAssert.AreEqual((long[])[1, 196, 768], embeddings.shape);
        Assert.IsTrue(embeddings.isfinite().all().item<bool>());
    }

    [TestMethod]
    [DataRow("vision_only")]
    [DataRow("no_head")]
    [DataRow("odd_size")]
    public void Parameter_names_equal_the_checkpoint_s(string name)
    {
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(ReferenceModels.Folder(name), "model.safetensors"));
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder(name));
        CollectionAssert.AreEquivalent(file.Tensors.Keys.ToArray(), model.state_dict().Keys.ToArray());
    }

    [TestMethod]
    public void A_batch_gives_the_same_embeddings_as_its_images_one_by_one()
    {
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));
        using var noGradients = inference_mode();
        using DisposeScope scope = NewDisposeScope();
        manual_seed(3);
        Tensor images = rand(5, 3, 32, 32);
        SiglipVisionOutput batch = model.Forward(images, new SiglipForwardOptions());
        for (int i = 0; i < 5; i++)
        {
            SiglipVisionOutput single = model.Forward(images[i].unsqueeze(0), new SiglipForwardOptions());
            Assert.IsLessThanOrEqualTo(1e-5, ReferenceModels.LargestDifference(batch.LastHiddenState[i].unsqueeze(0), single.LastHiddenState), $"image {i}");
            Assert.IsLessThanOrEqualTo(1e-5, ReferenceModels.LargestDifference(batch.PoolerOutput![i].unsqueeze(0), single.PoolerOutput!), $"image {i}");
        }
    }

    [TestMethod]
    public void Attention_weights_of_every_patch_sum_to_one()
    {
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));
        using var noGradients = inference_mode();
        using DisposeScope scope = NewDisposeScope();
        SiglipVisionOutput output = model.Forward(rand(2, 3, 32, 32), Everything);
        foreach (Tensor weights in output.Attentions!)
            Assert.IsLessThanOrEqualTo(1e-6, ReferenceModels.LargestDifference(weights.sum(-1), ones(2, 4, 16)));
    }

    [TestMethod]
    public void Interpolation_changes_nothing_at_the_native_size()
    {
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));
        using var noGradients = inference_mode();
        using DisposeScope scope = NewDisposeScope();
        Tensor images = rand(1, 3, 32, 32);
        SiglipVisionOutput interpolated = model.Forward(images, new SiglipForwardOptions { InterpolatePositionEncoding = true });
        Assert.AreEqual(0, ReferenceModels.LargestDifference(interpolated.LastHiddenState, model.call(images)));
    }

    [TestMethod]
    public void A_forward_pass_leaves_no_tensor_behind()
    {
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));
        using Tensor small = rand(2, 3, 32, 32), large = rand(1, 3, 48, 40);
        Assert.AreEqual(0, TensorCount.LeftBy(() => model.call(small).Dispose()));
        Assert.AreEqual(0, TensorCount.LeftBy(() => model.Forward(small, Everything).Dispose()));
        Assert.AreEqual(0, TensorCount.LeftBy(() => model.Forward(large, Everything with { InterpolatePositionEncoding = true }).Dispose()));
        Assert.AreEqual(0, TensorCount.LeftBy(() => Assert.ThrowsExactly<ArgumentException>(() => model.call(large))));
    }

    [TestMethod]
    public void A_model_leaves_no_tensor_behind()
    {
        Assert.AreEqual(0, TensorCount.LeftBy(() => new SiglipVisionModel(new SiglipVisionConfig { NumHiddenLayers = 1 }).Dispose()));
        Assert.AreEqual(0, TensorCount.LeftBy(() => new SiglipForImageClassification(new SiglipVisionConfig { NumHiddenLayers = 1 }, ["a"]).Dispose()));
    }

    [TestMethod]
    public void A_model_outlives_the_dispose_scope_in_which_it_was_made()
    {
        TorchNative.Ensure();
        SiglipVisionModel loaded;
        using (NewDisposeScope())
            loaded = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));

        using (loaded)
        using (var expected = new ExpectedOutputs("vision_only"))
        using (Tensor pixelValues = expected.PixelValues(), reference = expected.Read("last_hidden_state"), actual = loaded.call(pixelValues))
            Assert.IsLessThanOrEqualTo(ReferenceModels.Tolerance("vision_only", "last_hidden_state"), ReferenceModels.LargestDifference(actual, reference));
    }

    [TestMethod]
    public void Several_threads_get_the_numbers_of_one()
    {
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));
        using Tensor images = rand(8, 3, 32, 32);
        float[] Embed(int i)
        {
            using var noGradients = inference_mode(); // per thread
            using DisposeScope scope = NewDisposeScope();
            return ReferenceModels.Values(model.call(images[i].unsqueeze(0)));
        }

        float[][] expected = [.. Enumerable.Range(0, 8).Select(Embed)];
        Parallel.For(0, 64, i => CollectionAssert.AreEqual(expected[i % 8], Embed(i % 8)));
    }

    [TestMethod]
    [DataRow(new long[] { 2, 3, 32 }, false, "pixelValues has shape [2, 3, 32], expected [batch, 3, 32, 32].")]
    [DataRow(new long[] { 2, 1, 32, 32 }, false, "pixelValues has shape [2, 1, 32, 32], expected [batch, 3, 32, 32].")]
    [DataRow(new long[] { 2, 3, 48, 32 }, false, "expected [batch, 3, 32, 32]. Resize the images, or set InterpolatePositionEncoding.")]
    [DataRow(new long[] { 2, 3, 32, 24 }, false, "expected [batch, 3, 32, 32]. Resize the images, or set InterpolatePositionEncoding.")]
    [DataRow(new long[] { 2, 3, 7, 32 }, true, "expected [batch, 3, height, width] with sides of at least 8.")]
    [DataRow(new long[] { 2, 4, 32, 32 }, true, "expected [batch, 3, height, width] with sides of at least 8.")]
    public void Another_input_shape_is_refused_by_name(long[] shape, bool interpolate, string message)
    {
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));
        using Tensor pixelValues = zeros(shape);
        ArgumentException error = Assert.ThrowsExactly<ArgumentException>(
            () => model.Forward(pixelValues, new SiglipForwardOptions { InterpolatePositionEncoding = interpolate }));
        Assert.Contains(message, error.Message);
    }

    [TestMethod]
    public void Dropout_acts_in_training_only()
    {
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("odd_config")); // attention_dropout 0.25
        using var noGradients = inference_mode();
        using DisposeScope scope = NewDisposeScope();
        Tensor images = rand(1, 1, 24, 24), evaluated = model.call(images);
        Assert.AreEqual(0, ReferenceModels.LargestDifference(model.call(images), evaluated));

        model.train();
        Assert.IsGreaterThan(1e-3, ReferenceModels.LargestDifference(model.call(images), evaluated), "fused");
        Assert.IsGreaterThan(1e-3, ReferenceModels.LargestDifference(model.Forward(images, Everything).LastHiddenState, evaluated), "step by step");
    }

    [TestMethod]
    [DataRow(60, 7, "num_attention_heads is 7, which does not divide hidden_size 60")]
    [DataRow(0, 1, "hidden_size is 0")]
    public void Sizes_that_do_not_fit_together_are_refused(int hidden, int heads, string message)
    {
        ArgumentException error = Assert.ThrowsExactly<ArgumentException>(
            () => new SiglipVisionModel(new SiglipVisionConfig { HiddenSize = hidden, NumAttentionHeads = heads }));
        Assert.Contains(message, error.Message);
    }

    [TestMethod]
    public void Labels_must_be_there_and_differ()
    {
        var config = new SiglipVisionConfig { HiddenSize = 8, IntermediateSize = 8, NumHiddenLayers = 0, NumAttentionHeads = 1 };
        Assert.Contains("There are no labels", Assert.ThrowsExactly<ArgumentException>(() => new SiglipForImageClassification(config, [])).Message);
        Assert.Contains("A label occurs twice", Assert.ThrowsExactly<ArgumentException>(() => new SiglipForImageClassification(config, ["a", "a"])).Message);
    }
}
