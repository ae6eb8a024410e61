using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>The model against transformers' results; tolerances and their reasons are in Reference/tolerances.json.</summary>
[TestClass]
public sealed class SiglipVisionModelReferenceTests
{
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
    public void The_vision_tower_of_a_full_model_gives_the_outputs_of_transformers()
    {
        using var expected = new ExpectedOutputs("full_model");
        using SiglipVisionModel loaded = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("full_model"));
        using Tensor pixelValues = expected.PixelValues();
        using var noGradients = inference_mode();
        using SiglipVisionOutput output = loaded.Forward(pixelValues, new SiglipForwardOptions { OutputHiddenStates = true });

        Check("full_model", "vision.last_hidden_state", output.LastHiddenState, expected);
        Check("full_model", "vision.pooler_output", output.PoolerOutput!, expected);
        Check("full_model", "get_image_features", output.PoolerOutput!, expected);
        using Tensor normalized = nn.functional.normalize(output.PoolerOutput!);
        Check("full_model", "image_embeds", normalized, expected);
        for (int i = 0; i < output.HiddenStates!.Count; i++)
        {
            using Tensor firstImage = output.HiddenStates[i][..1]; // the reference has those of one image
            Check("full_model", $"vision.hidden_states.{i}", firstImage, expected);
        }
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

    private static void CheckAll(string model, string prefix, SiglipVisionOutput output, ExpectedOutputs expected)
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

    // interp_48x48.hidden_states.2 is one of the hidden_states of the case "vision_only, 48x48"; vision.hidden_states.2 one of full_model.
    private static void Check(string model, string name, Tensor actual, ExpectedOutputs expected)
    {
        string[] parts = name.Split('.');
        string output = int.TryParse(parts[^1], out _) ? parts[^2] : parts[^1];
        string @case = parts[0].StartsWith("interp_", StringComparison.Ordinal) ? $"{model}, {parts[0]["interp_".Length..]}" : model;
        using Tensor reference = expected.Read(name);
        ParityReport.OfThisRun.Check(ParityArea.Models, @case, output, ReferenceModels.LargestDifference(actual, reference), Tolerance(model, output));
    }

    // The image features are the pooled embedding under another name.
    private static double Tolerance(string model, string output) =>
        ReferenceModels.Tolerance(model, output == "get_image_features" ? "pooler_output" : output);
}
