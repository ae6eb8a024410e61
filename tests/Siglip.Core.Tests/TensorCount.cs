using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class TensorCount
{
    /// <summary>How many tensors that this thread made an action leaves alive.</summary>
    /// <remarks>Not <see cref="Tensor.TotalCount"/>: TorchSharp 0.107 counts each parameter twice there, but its disposal once.</remarks>
    public static long LeftBy(Action action)
    {
        TorchNative.Ensure();
        action(); // what is made once and kept does not count
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        action();
        return DisposeScopeManager.Statistics.ThreadTotalLiveCount - before;
    }

    [TestMethod]
    public void The_count_finds_a_tensor_that_is_left_behind()
    {
        var kept = new List<Tensor>();
        Assert.AreEqual(1, LeftBy(() => kept.Add(ones(1))));
        kept.ForEach(tensor => tensor.Dispose());
    }
}
