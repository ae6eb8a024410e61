using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class ReferenceModelsTests
{
    [TestMethod]
    [DataRow(float.NaN, 1f)]
    [DataRow(1f, float.NaN)]
    [DataRow(float.PositiveInfinity, float.PositiveInfinity)]
    public void A_difference_that_is_not_a_number_passes_no_tolerance(float actual, float expected)
    {
        TorchNative.Ensure();
        using Tensor one = tensor([0f, actual]), other = tensor([0f, expected]);

        double difference = ReferenceModels.LargestDifference(one, other);

        Assert.ThrowsExactly<AssertFailedException>(() => Assert.IsLessThanOrEqualTo(1e9, difference));
    }
}
