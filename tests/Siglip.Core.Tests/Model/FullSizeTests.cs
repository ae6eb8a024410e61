using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>The architectures of real checkpoints, with weights that follow from their names.</summary>
[TestClass]
public sealed class FullSizeTests
{
    [TestMethod]
    [DataRow("siglip-base-patch16-224", 86)]
    [DataRow("siglip-so400m-patch14-384", 400)]
    public void A_real_architecture_gives_the_outputs_of_transformers(string name, int millionsAtLeast)
    {
        using DisposeScope scope = NewDisposeScope();
        using SafetensorsFile expected = SafetensorsFile.Open(ReferenceModels.PathOf("full_size", name, "expected_fp64.safetensors"));
        SiglipVisionConfig config = SiglipVisionConfig.FromJson(File.ReadAllText(ReferenceModels.PathOf("full_size", name, "config.json")));
        using SiglipVisionModel model = FormulaWeights.CreateModel(config);
        Assert.IsGreaterThan(millionsAtLeast * 1_000_000L, model.parameters().Sum(parameter => parameter.numel()));
        using var noGradients = inference_mode();
        Tensor pixelValues = FormulaWeights.PixelValues(expected.Tensors["pooler_output"].Shape[0], config);

        SiglipVisionOutput output = model.Forward(pixelValues, new SiglipForwardOptions { OutputHiddenStates = true });

        Dictionary<string, Tensor> found = Summary(output, config);
        CollectionAssert.AreEquivalent(expected.Tensors.Keys.ToArray(), found.Keys.ToArray());
        foreach ((string summary, Tensor value) in found)
        {
            double difference = ReferenceModels.LargestDifference(value, expected.Read(summary));
            ParityReport.OfThisRun.Check(ParityArea.FullSize, name, summary, difference, Tolerance(name, summary));
        }
    }

    // What the reference keeps of outputs that are too large to be stored.
    private static Dictionary<string, Tensor> Summary(SiglipVisionOutput output, SiglipVisionConfig config)
    {
        Tensor[] states = [.. output.HiddenStates!.Select(state => state.to(float64))]; // [batch, patches, hidden] each
        Tensor last = output.LastHiddenState; // [batch, patches, hidden]
        using Tensor rows = tensor((long[])[0, 1, config.ImageSize / config.PatchSize, config.NumPatches / 2, config.NumPatches - 1]);
        return new()
        {
            ["pooler_output"] = output.PoolerOutput!,
            ["last_hidden_state_rows"] = last.index_select(1, rows),
            ["last_hidden_state_mean_pooled"] = last.to(float64).mean([1]),
            ["hidden_states_token_mean_first8"] = stack(states.Select(state => state.mean([1])[.., ..8])),
            ["hidden_states_first_token_first8"] = stack(states.Select(state => state[.., 0, ..8])),
            ["hidden_states_last_token_first8"] = stack(states.Select(state => state[.., -1, ..8])),
            ["hidden_states_mean_over_all"] = stack(states.Select(state => state.mean([1, 2]))),
            ["hidden_states_std_over_all"] = stack(states.Select(state => state.flatten(1).std(1, unbiased: false))),
        };
    }

    private static double Tolerance(string name, string summary) => ReferenceModels.Tolerance(name, summary switch
    {
        "pooler_output" => "pooler_output",
        _ when summary.StartsWith("hidden_states", StringComparison.Ordinal) => "hidden_states values",
        _ => "last_hidden_state_rows", // the mean of the patches has no tolerance of its own
    }, "full_size");
}
