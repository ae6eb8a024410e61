using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class ActivationTests
{
    public TestContext TestContext { get; set; } = null!;

    [TestMethod]
    [DataRow("gelu_pytorch_tanh")]
    [DataRow("gelu")]
    [DataRow("gelu_new")]
    [DataRow("quick_gelu")]
    [DataRow("relu")]
    [DataRow("silu")]
    public void Every_activation_equals_that_of_transformers(string name)
    {
        TorchNative.Ensure();
        using SafetensorsFile file = SafetensorsFile.Open(ReferenceModels.PathOf("activations", "activations.safetensors"));
        using Tensor x = file.Read("x"), expected = file.Read("fp64." + name), actual = Activation.Find(name)(x);
        double tolerance = ReferenceModels.AreaTolerance("activations", "float32 against fp64.*"), difference = ReferenceModels.LargestDifference(actual, expected);
        TestContext.WriteLine($"{name}: largest difference {difference:e1}, tolerance {tolerance:e1}");
        Assert.IsLessThanOrEqualTo(tolerance, difference);
    }

    [TestMethod]
    public void Every_activation_has_a_reference()
    {
        using SafetensorsFile file = SafetensorsFile.Open(ReferenceModels.PathOf("activations", "activations.safetensors"));
        CollectionAssert.AreEquivalent(
            file.Tensors.Keys.Where(name => name.StartsWith("fp64.", StringComparison.Ordinal)).Select(name => name["fp64.".Length..]).ToArray(),
            Activation.Names.ToArray());
    }
}
