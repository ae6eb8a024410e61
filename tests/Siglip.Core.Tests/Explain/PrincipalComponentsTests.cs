namespace Siglip.Core.Tests;

[TestClass]
public sealed class PrincipalComponentsTests
{
    /// <summary>Points along a line in the direction (3, 4) / 5, and a little beside it: that direction is the first component.</summary>
    [TestMethod]
    public void The_first_component_is_the_direction_in_which_rows_differ_most()
    {
        float[] rows = [.. Enumerable.Range(-5, 11).SelectMany(i => (float[])[10 + (0.6f * i) - (0.08f * Math.Abs(i % 2)), 20 + (0.8f * i) + (0.06f * Math.Abs(i % 2))])];
        var components = PrincipalComponents.Of(rows, 2, 2);

        Assert.AreEqual(0.6, components.Components[0], 0.01);
        Assert.AreEqual(0.8, components.Components[1], 0.01);
        Assert.IsGreaterThan(0.99f, components.Shares[0]);
        Assert.AreEqual(1, components.Shares.Sum(), 1e-6);
        for (int i = 0; i < 11; i++)
            Assert.AreEqual(i - 5, components.Projections[2 * i], 0.02);
    }

    [TestMethod]
    public void What_the_rows_do_not_have_is_zero()
    {
        var components = PrincipalComponents.Of([1, 2, 3, 1, 2, 3], 3, 5); // two equal rows

        CollectionAssert.AreEqual(new float[5], components.Shares);
        CollectionAssert.AreEqual(new float[10], components.Projections);
        Assert.HasCount(15, components.Components);
    }

    [TestMethod]
    public void Nothing_stays_in_memory() => Assert.AreEqual(0, TensorCount.LeftBy(() => PrincipalComponents.Of([1, 2, 3, 4, 5, 7], 2, 2)));
}
