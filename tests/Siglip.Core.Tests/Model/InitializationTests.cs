using System.Text.Json;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>
/// The distribution of initial values against transformers 4.57. Both sides are random samples, so each statistic may differ by six of its
/// standard errors; 4.57's rules differ from torch's own and from those of 5.x by far more.
/// </summary>
[TestClass]
public sealed class InitializationTests
{
    private const double StandardErrors = 6 * 1.5; // 1.5 > √2: two samples

    [TestMethod]
    public void Initial_values_follow_the_rules_of_transformers()
    {
        const long seed = 1;
        TorchNative.Ensure();
        manual_seed(seed);
        using var model = new SiglipVisionModel(new SiglipVisionConfig { NumHiddenLayers = 2 });
        Dictionary<string, Tensor> parameters = model.state_dict();
        JsonElement expected = ReferenceModels.Json("init", "initial_values_statistics.json").GetProperty("transformers 4.57.0.dev0");

        CollectionAssert.AreEquivalent(expected.EnumerateObject().Select(property => property.Name).ToArray(), parameters.Keys.ToArray());
        foreach (JsonProperty property in expected.EnumerateObject())
            Compare($"{property.Name}, seed {seed}", parameters[property.Name], property.Value);
    }

    [TestMethod]
    public void The_classifier_follows_the_rules_of_transformers()
    {
        TorchNative.Ensure();
        manual_seed(1);
        var config = new SiglipVisionConfig { HiddenSize = 1024, IntermediateSize = 8, NumHiddenLayers = 0, NumAttentionHeads = 1 };
        using var model = new SiglipForImageClassification(config, [.. Enumerable.Range(0, 100).Select(i => $"{i}")]);
        Dictionary<string, Tensor> parameters = model.state_dict();
        using DisposeScope scope = NewDisposeScope();
        Assert.AreEqual(1 / 32.0, parameters["classifier.weight"].detach().std().item<float>(), 1 / 32.0 * 6 / Math.Sqrt(2 * 102_400));
        Assert.AreEqual(0, parameters["classifier.bias"].detach().abs().max().item<float>());
    }

    [TestMethod]
    public void The_same_seed_gives_the_same_model()
    {
        var config = new SiglipVisionConfig { HiddenSize = 16, IntermediateSize = 32, NumHiddenLayers = 1, NumAttentionHeads = 2, ImageSize = 32 };
        TorchNative.Ensure();
        manual_seed(7);
        using var one = new SiglipVisionModel(config);
        manual_seed(7);
        using var other = new SiglipVisionModel(config);
        foreach ((string name, Tensor value) in one.state_dict())
            CollectionAssert.AreEqual(ReferenceModels.Values(value), ReferenceModels.Values(other.state_dict()[name]), name);
    }

    private static void Compare(string name, Tensor parameter, JsonElement expected)
    {
        double[] values = [.. ReferenceModels.Values(parameter).Select(value => (double)value)];
        double count = values.Length, mean = values.Average(), std = Math.Sqrt(values.Average(value => (value - mean) * (value - mean)));
        double expectedMean = expected.GetProperty("mean").GetDouble(), expectedStd = expected.GetProperty("std").GetDouble();
        CollectionAssert.AreEqual(expected.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64()).ToArray(), parameter.shape, name);
        if (expectedStd == 0)
        {
            Assert.AreEqual(expectedMean, mean, name);
            Assert.AreEqual(0, std, name);
            return;
        }

        double kurtosis = values.Average(value => Math.Pow((value - mean) / std, 4)), expectedKurtosis = expected.GetProperty("kurtosis").GetDouble();
        Check("mean", (mean - expectedMean) / (expectedStd / Math.Sqrt(count)));
        Check("standard deviation", ((std / expectedStd) - 1) / Math.Sqrt((expectedKurtosis - 1) / (4 * count)));
        Check("kurtosis", (kurtosis - expectedKurtosis) / Math.Sqrt(24 / count));
        if (expectedKurtosis < 2.5) // uniform, or a normal distribution that is cut: large samples reach the bounds, none goes beyond
        {
            double slack = count > 100_000 ? 1.001 : 1.05;
            Assert.IsLessThanOrEqualTo(expected.GetProperty("max").GetDouble() * slack, values.Max(), $"largest of {name}");
            Assert.IsGreaterThanOrEqualTo(expected.GetProperty("min").GetDouble() * slack, values.Min(), $"smallest of {name}");
        }

        void Check(string statistic, double standardErrors) =>
            ParityReport.OfThisRun.Check(ParityArea.InitialValues, "all random parameters", statistic, Math.Abs(standardErrors), StandardErrors);
    }
}
