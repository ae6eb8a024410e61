using System.Runtime.ExceptionServices;

namespace Siglip.Core;

/// <summary>A loop on all cores that fails like an ordinary one.</summary>
internal static class ParallelLoop
{
    /// <summary>Runs the body for each number from 0 to below the count, in any order.</summary>
    /// <remarks>Throws what the body threw, the first if several did, and not the AggregateException around it.</remarks>
    public static void For(int count, Action<int> body, CancellationToken cancellationToken = default)
    {
        try
        {
            Parallel.For(0, count, new ParallelOptions { CancellationToken = cancellationToken }, body);
        }
        catch (AggregateException e)
        {
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
    }
}
