using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>Models that compute in 16 bits, on the CPU.</summary>
[TestClass]
public sealed class PrecisionTests
{
    private static readonly SiglipForwardOptions Everything = new() { OutputHiddenStates = true, OutputAttentions = true };

    // README of the reference: half precision is off by up to 5.6e-3 and 3.8e-2 there, and two ways of computing differ as much.
    private static double Tolerance(SiglipPrecision precision) => precision == SiglipPrecision.Float16 ? 0.02 : 0.2;

    public TestContext TestContext { get; set; } = null!;

    [TestMethod]
    [DataRow("fp16", "native_fp16.", SiglipPrecision.Float16)]
    [DataRow("bf16", "native_bf16.", SiglipPrecision.BFloat16)]
    public void Half_precision_gives_the_numbers_of_transformers(string model, string native, SiglipPrecision precision)
    {
        using var expected = new ExpectedOutputs(model);
        using SiglipVisionModel loaded = SiglipVisionModel.FromPretrained(ReferenceModels.Folder(model), new SiglipLoadOptions { Precision = precision });
        using DisposeScope scope = NewDisposeScope();
        using var noGradients = inference_mode();
        Tensor pixelValues = expected.PixelValues();
        foreach (SiglipForwardOptions options in (SiglipForwardOptions[])[new(), Everything]) // the fused kernel, and step by step
        {
            SiglipVisionOutput output = loaded.Forward(pixelValues, options);
            foreach (string prefix in (string[])[native, ""]) // computed in half precision, and in float64
            {
                Check(prefix + "last_hidden_state", output.LastHiddenState);
                Check(prefix + "pooler_output", output.PoolerOutput!);
            }
        }

        void Check(string name, Tensor actual)
        {
            Assert.AreEqual(precision.ToDtype(), actual.dtype);
            double difference = ReferenceModels.LargestDifference(actual, expected.Read(name));
            string against = name.StartsWith("native", StringComparison.Ordinal) ? $"{precision} in transformers" : "float64";
            ParityReport.OfThisRun.Check(ParityArea.HalfPrecision, $"{model} in {precision}, against {against}", name.Split('.')[^1], difference, Tolerance(precision));
            Assert.IsGreaterThan(1e-4, difference, $"{name} was computed in float32");
        }
    }

    [TestMethod]
    [DataRow(SiglipPrecision.Float16)]
    [DataRow(SiglipPrecision.BFloat16)]
    public void Every_operation_works_in_half_precision(SiglipPrecision precision)
    {
        // All activations, no head, head sizes that are no multiple of 8, one channel, sizes that are no multiple of the patch.
        foreach (string name in (string[])["vision_only", "so400m_like", "no_head", "odd_size", "odd_config", "sharded", "image_classification"])
        {
            using var expected = new ExpectedOutputs(name);
            using SiglipVisionModel loaded = SiglipVisionModel.FromPretrained(ReferenceModels.Folder(name), new SiglipLoadOptions { Precision = precision });
            using DisposeScope scope = NewDisposeScope();
            using var noGradients = inference_mode();
            foreach (SiglipForwardOptions options in (SiglipForwardOptions[])[new(), Everything])
                AssertAlike(name, expected.Read("last_hidden_state"), loaded.Forward(expected.PixelValues(), options).LastHiddenState, precision);
        }

        using (var expected = new ExpectedOutputs("vision_only"))
        using (SiglipVisionModel loaded = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"), new SiglipLoadOptions { Precision = precision }))
        using (DisposeScope scope = NewDisposeScope())
        using (inference_mode())
        {
            SiglipVisionOutput output = loaded.Forward(expected.PixelValues("interp_29x75."), new SiglipForwardOptions { InterpolatePositionEncoding = true });
            AssertAlike("interpolated", expected.Read("interp_29x75.last_hidden_state"), output.LastHiddenState, precision);
            AssertAlike("interpolated", expected.Read("interp_29x75.pooler_output"), output.PoolerOutput!, precision);
        }

        foreach (string activation in Activation.Names)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor x = linspace(-5, 5, 101);
            AssertAlike(activation, Activation.Find(activation)(x), Activation.Find(activation)(x.to(precision.ToDtype())), precision);
        }
    }

    [TestMethod]
    [DataRow(SiglipPrecision.Float16)]
    [DataRow(SiglipPrecision.BFloat16)]
    public void NaFlex_works_in_half_precision(SiglipPrecision precision)
    {
        using SafetensorsFile inputs = SafetensorsFile.Open(ReferenceModels.PathOf("naflex", "expected.safetensors"));
        using SafetensorsFile expected = SafetensorsFile.Open(ReferenceModels.PathOf("naflex", "expected_fp64.safetensors"));
        using Siglip2VisionModel model = Siglip2VisionModel.FromPretrained(ReferenceModels.PathOf("naflex"), new SiglipLoadOptions { Precision = precision });
        using DisposeScope scope = NewDisposeScope();
        using var noGradients = inference_mode();
        Tensor mask = inputs.Read("pixel_attention_mask"), valid = mask.to(@bool);
        foreach (SiglipForwardOptions options in (SiglipForwardOptions[])[new(), Everything])
        {
            SiglipVisionOutput output = model.Forward(inputs.Read("pixel_values"), mask, inputs.Read("spatial_shapes"), options);
            AssertAlike("patches", expected.Read("last_hidden_state")[valid], output.LastHiddenState[valid], precision);
            AssertAlike("pooled", expected.Read("pooler_output"), output.PoolerOutput!, precision);
        }
    }

    [TestMethod]
    [DataRow("models/vision_only", SiglipPrecision.Float16)]
    [DataRow("models/vision_only", SiglipPrecision.BFloat16)]
    [DataRow("naflex", SiglipPrecision.Float16)]
    [DataRow("naflex", SiglipPrecision.BFloat16)]
    public void Embeddings_are_float32_and_point_where_those_of_float32_do(string model, SiglipPrecision precision)
    {
        const SiglipEmbeddingOutputs All =
            SiglipEmbeddingOutputs.PatchEmbeddings | SiglipEmbeddingOutputs.PooledEmbedding | SiglipEmbeddingOutputs.MeanPatchEmbedding;
        RgbImage[] images = [.. ((string[])["rgb.png", "chart.png", "wide_1600x9.png"]).Select(name => RgbImage.Load(ReferenceImages.PathOf(name)))];
        using SiglipImageEmbedder single = SiglipImageEmbedder.FromPretrained(ReferenceModels.PathOf(model.Split('/')));
        using SiglipImageEmbedder half = SiglipImageEmbedder.FromPretrained(ReferenceModels.PathOf(model.Split('/')), new() { Precision = precision });
        SiglipImageEmbeddings expected = single.EmbedBatch(images, All), found = half.EmbedBatch(images, All);
        foreach (SiglipEmbeddingOutputs output in (SiglipEmbeddingOutputs[])[SiglipEmbeddingOutputs.PatchEmbeddings, SiglipEmbeddingOutputs.PooledEmbedding, SiglipEmbeddingOutputs.MeanPatchEmbedding])
        {
            float[] a = expected.Values(output), b = found.Values(output);
            CollectionAssert.AreNotEqual(a, b, "computed in half precision");
            for (int i = 0; i < a.Length; i += expected.HiddenSize)
            {
                if (a[i..(i + expected.HiddenSize)].All(value => value == 0)) // padding
                    Assert.IsTrue(b[i..(i + expected.HiddenSize)].All(value => value == 0), "padding");
                else
                    Assert.IsGreaterThan(precision == SiglipPrecision.Float16 ? 0.99999 : 0.999, Cosine(a.AsSpan(i, expected.HiddenSize), b.AsSpan(i, expected.HiddenSize)), $"{output}, {i}");
            }
        }
    }

    [TestMethod]
    [DataRow("fp16", SiglipPrecision.Float16)]
    [DataRow("bf16", SiglipPrecision.BFloat16)]
    [DataRow("vision_only", SiglipPrecision.BFloat16)]
    public void Parameters_have_half_the_size_and_are_loaded_as_they_are_stored(string name, SiglipPrecision precision)
    {
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder(name), new SiglipLoadOptions { Precision = precision });
        using SiglipVisionModel single = SiglipVisionModel.FromPretrained(ReferenceModels.Folder(name));
        using SafetensorsFile stored = SafetensorsFile.Open(Path.Combine(ReferenceModels.Folder(name), "model.safetensors"));
        foreach ((string parameterName, Tensor parameter) in model.state_dict())
        {
            using DisposeScope scope = NewDisposeScope();
            Assert.AreEqual(precision.ToDtype(), parameter.dtype, parameterName);
            Assert.AreEqual(2, parameter.element_size());
            Assert.IsTrue(parameter.equal(stored.Read(parameterName).to(parameter.dtype)).all().item<bool>(), parameterName);
        }

        Assert.AreEqual(single.parameters().Sum(parameter => parameter.numel() * parameter.element_size()),
            2 * model.parameters().Sum(parameter => parameter.numel() * parameter.element_size()));
    }

    [TestMethod]
    [DataRow("models/bf16", SiglipPrecision.BFloat16, ScalarType.BFloat16)]
    [DataRow("models/fp16", SiglipPrecision.Float16, ScalarType.Float16)]
    [DataRow("models/vision_only", SiglipPrecision.BFloat16, ScalarType.Float32)] // rounded at loading, not again
    public void A_model_in_half_precision_saves_and_loads_to_the_same_bits(string name, SiglipPrecision precision, ScalarType storedDtype)
    {
        using var folder = new TemporaryFolder();
        var options = new SiglipLoadOptions { Precision = precision };
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.PathOf(name.Split('/')), options);
        model.SavePretrained(folder.Path, storedDtype: storedDtype);
        using SiglipVisionModel loaded = SiglipVisionModel.FromPretrained(folder.Path, options);
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(folder.Path);

        Assert.AreEqual(storedDtype, checkpoint.StoredDtype);
        using DisposeScope scope = NewDisposeScope();
        Tensor pixelValues = rand(2, 3, 32, 32);
        Assert.IsTrue(model.call(pixelValues).equal(loaded.call(pixelValues)).all().item<bool>());
    }

    [TestMethod]
    public void A_NaFlex_model_in_half_precision_saves_and_loads_to_the_same_bits()
    {
        using var folder = new TemporaryFolder();
        var options = new SiglipLoadOptions { Precision = SiglipPrecision.BFloat16 };
        using Siglip2VisionModel model = Siglip2VisionModel.FromPretrained(ReferenceModels.PathOf("naflex"), options);
        model.SavePretrained(folder.Path, storedDtype: ScalarType.BFloat16);
        using Siglip2VisionModel loaded = Siglip2VisionModel.FromPretrained(folder.Path, options);
        using DisposeScope scope = NewDisposeScope();
        Tensor pixelValues = rand(2, 6, 192), mask = ones(2, 6), shapes = tensor(new long[] { 2, 3, 6, 1 }, [2, 2]);
        Assert.IsTrue(model.call(pixelValues, mask, shapes).equal(loaded.call(pixelValues, mask, shapes)).all().item<bool>());
    }

    [TestMethod]
    [DataRow("models/vision_only")]
    [DataRow("naflex")]
    public void Half_precision_leaves_no_tensor_behind(string model)
    {
        RgbImage image = RgbImage.Load(ReferenceImages.PathOf("chart.png"));
        Assert.AreEqual(0, TensorCount.LeftBy(() =>
        {
            using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(
                ReferenceModels.PathOf(model.Split('/')), new() { Precision = SiglipPrecision.BFloat16, Normalize = true });
            embedder.Embed(image);
        }));
    }

    [TestMethod]
    public void The_classifier_works_in_half_precision_and_on_other_sizes()
    {
        using var expected = new ExpectedOutputs("image_classification");
        using DisposeScope scope = NewDisposeScope();
        using var noGradients = inference_mode();
        foreach (SiglipPrecision precision in (SiglipPrecision[])[SiglipPrecision.Float16, SiglipPrecision.BFloat16])
        {
            using SiglipForImageClassification half = SiglipForImageClassification.FromPretrained(
                ReferenceModels.Folder("image_classification"), new SiglipLoadOptions { Precision = precision });
            AssertAlike("logits", expected.Read("logits"), half.call(expected.PixelValues()), precision);
        }

        using SiglipForImageClassification single = SiglipForImageClassification.FromPretrained(ReferenceModels.Folder("image_classification"));
        using SiglipVisionModel vision = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("image_classification"));
        Tensor other = rand(2, 3, 40, 64);
        Assert.Contains("InterpolatePositionEncoding", Assert.ThrowsExactly<ArgumentException>(() => single.call(other)).Message);
        Tensor mean = vision.Forward(other, new SiglipForwardOptions { InterpolatePositionEncoding = true }).LastHiddenState.mean([1]);
        Tensor logits = nn.functional.linear(mean, single.get_parameter("classifier.weight")!, single.get_parameter("classifier.bias")!);
        Assert.IsLessThanOrEqualTo(1e-6, ReferenceModels.LargestDifference(single.Forward(other, interpolatePositionEncoding: true), logits));
        Assert.AreEqual(0, TensorCount.LeftBy(() => single.Forward(other, interpolatePositionEncoding: true).Dispose()));
    }

    [TestMethod]
    public void An_embedder_leaves_the_precision_of_a_model_alone_unless_told_otherwise()
    {
        string folder = ReferenceModels.Folder("vision_only");
        var half = new SiglipLoadOptions { Precision = SiglipPrecision.BFloat16 };
        foreach ((SiglipPrecision? asked, ScalarType found) in ((SiglipPrecision?, ScalarType)[])
            [(null, ScalarType.BFloat16), (SiglipPrecision.Float16, ScalarType.Float16), (SiglipPrecision.Float32, ScalarType.Float32)])
        {
            SiglipVisionModel model = SiglipVisionModel.FromPretrained(folder, half);
            using var embedder = new SiglipImageEmbedder(model, model.ProcessorConfig!, new() { Precision = asked });
            Assert.IsTrue(model.parameters().All(parameter => parameter.dtype == found), $"{asked}");
        }

        using SiglipImageEmbedder loaded = SiglipImageEmbedder.FromPretrained(folder);
        Assert.IsTrue(loaded.Model.parameters().All(parameter => parameter.dtype == ScalarType.Float32));
    }

    [TestMethod]
    public void Training_computes_in_float32_whatever_the_model_was()
    {
        using SiglipForImageClassification model = SiglipForImageClassification.FromPretrained(
            ReferenceModels.Folder("image_classification"), new SiglipLoadOptions { Precision = SiglipPrecision.Float16 });
        using var trainer = new SiglipTrainer(model, model.ProcessorConfig!);
        Assert.IsTrue(model.parameters().All(parameter => parameter.dtype == ScalarType.Float32));
    }

    [TestMethod]
    public void An_unknown_precision_is_refused()
    {
        var precision = (SiglipPrecision)7;
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(
            () => SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"), new SiglipLoadOptions { Precision = precision }));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(
            () => SiglipImageEmbedder.FromPretrained(ReferenceModels.Folder("vision_only"), new() { Precision = precision }));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => SiglipImageEmbedder.FromPretrained(ReferenceModels.PathOf("naflex"), new() { Precision = precision }));
    }

    // Values of size 1 to 4; the reference's tolerance for its two models holds for the others, too.
    private void AssertAlike(string what, Tensor expected, Tensor actual, SiglipPrecision precision)
    {
        Assert.AreEqual(precision.ToDtype(), actual.dtype, what);
        double difference = ReferenceModels.LargestDifference(actual, expected);
        TestContext.WriteLine($"{what}: largest difference {difference:e1}, tolerance {Tolerance(precision):e1}");
        Assert.IsLessThanOrEqualTo(Tolerance(precision), difference, what);
    }

    private static double Cosine(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        double ab = 0, aa = 0, bb = 0;
        for (int i = 0; i < a.Length; i++)
            (ab, aa, bb) = (ab + ((double)a[i] * b[i]), aa + ((double)a[i] * a[i]), bb + ((double)b[i] * b[i]));
        return ab / Math.Sqrt(aa * bb);
    }
}
