using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class ActivationTests
{
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
        ParityReport.OfThisRun.Check(ParityArea.Activations, name, "values",
            ReferenceModels.LargestDifference(actual, expected), ReferenceModels.AreaTolerance("activations", "float32 against fp64.*"));
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
