using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>The model against transformers' results; tolerances and their reasons are in Reference/tolerances.json.</summary>
[TestClass]
public sealed class SiglipVisionModelReferenceTests
{
    public TestContext TestContext { get; set; } = null!;

    [TestMethod]
    [DataRow("vision_only", "vision_only")]
    [DataRow("no_prefix", "vision_only")]
    [DataRow("small_activations", "small_activations")]
    [DataRow("odd_config", "odd_config")]
    [DataRow("sharded", "sharded")]
    [DataRow("so400m_like", "so400m_like")]
    [DataRow("no_head", "no_head")]
    [DataRow("odd_size", "odd_size")]
    [DataRow("fp16", "fp16")]
    [DataRow("bf16", "bf16")]
    [DataRow("image_classification", "image_classification")]
    public void Every_output_equals_that_of_transformers(string model, string expectedOf)
    {
        using var expected = new ExpectedOutputs(expectedOf);
        using SiglipVisionModel loaded = SiglipVisionModel.FromPretrained(ReferenceModels.Folder(model));
        using Tensor pixelValues = expected.PixelValues();
        using var noGradients = inference_mode();

        using SiglipVisionOutput stepByStep = loaded.Forward(pixelValues, new SiglipForwardOptions { OutputHiddenStates = true, OutputAttentions = true });
        using SiglipVisionOutput fused = loaded.Forward(pixelValues, new SiglipForwardOptions { OutputHiddenStates = true });
        using Tensor last = loaded.call(pixelValues);

        Check(model, "last_hidden_state", last, expected);
        CheckAll(model, "", stepByStep, expected);
        CheckAll(model, "", fused, expected);
        Assert.HasCount(loaded.Config.NumHiddenLayers, stepByStep.Attentions!);
        Assert.IsNull(fused.Attentions);
        Assert.AreEqual(loaded.Config.VisionUseHead, stepByStep.PoolerOutput is not null);
    }

    [TestMethod]
    [DataRow("interp_48x48.")]
    [DataRow("interp_40x64.")]
    [DataRow("interp_29x75.")]
    public void Other_image_sizes_give_the_outputs_of_transformers(string size)
    {
        using var expected = new ExpectedOutputs("vision_only");
        using SiglipVisionModel loaded = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));
        using Tensor pixelValues = expected.PixelValues(size);
        using var noGradients = inference_mode();
        using SiglipVisionOutput output = loaded.Forward(pixelValues,
            new SiglipForwardOptions { OutputHiddenStates = true, InterpolatePositionEncoding = true });
        CheckAll("vision_only", size, output, expected);
    }

    [TestMethod]
    public void The_classifier_gives_the_logits_of_transformers()
    {
        using var expected = new ExpectedOutputs("image_classification");
        using SiglipForImageClassification loaded = SiglipForImageClassification.FromPretrained(ReferenceModels.Folder("image_classification"));
        using Tensor pixelValues = expected.PixelValues(), labels = expected.Read("labels");
        using var noGradients = inference_mode();
        using Tensor logits = loaded.call(pixelValues), probabilities = logits.softmax(-1);
        using Tensor loss = nn.functional.cross_entropy(logits, labels).reshape(1);

        Check("image_classification", "logits", logits, expected);
        Check("image_classification", "probabilities", probabilities, expected);
        Check("image_classification", "loss", loss, expected);
        CollectionAssert.AreEqual((string[])["cat", "dog", "bird", "fish", "other"], loaded.Labels.ToArray());
    }

    private void CheckAll(string model, string prefix, SiglipVisionOutput output, ExpectedOutputs expected)
    {
        Check(model, prefix + "last_hidden_state", output.LastHiddenState, expected);
        if (output.PoolerOutput is { } pooled)
            Check(model, prefix + "pooler_output", pooled, expected);

        // image_classification has no inner states
        bool inner = expected.Has(prefix + "hidden_states.0");
        Assert.AreEqual(model != "image_classification", inner);
        for (int i = 0; inner && i < output.HiddenStates!.Count; i++)
            Check(model, $"{prefix}hidden_states.{i}", output.HiddenStates[i], expected);
        for (int i = 0; inner && i < (output.Attentions?.Count ?? 0); i++)
            Check(model, $"{prefix}attentions.{i}", output.Attentions![i], expected);
    }

    private void Check(string model, string name, Tensor actual, ExpectedOutputs expected)
    {
        string[] parts = name.Split('.');
        string kind = int.TryParse(parts[^1], out _) ? parts[^2] : parts[^1];
        double tolerance = ReferenceModels.Tolerance(model, kind);
        using Tensor reference = expected.Read(name);
        double difference = ReferenceModels.LargestDifference(actual, reference);
        TestContext.WriteLine($"{model} {name}: largest difference {difference:e1}, tolerance {tolerance:e1}");
        Assert.IsLessThanOrEqualTo(tolerance, difference, $"{model} {name}");
    }
}
