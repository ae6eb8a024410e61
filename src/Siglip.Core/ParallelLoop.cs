using System.Runtime.ExceptionServices;

namespace Siglip.Core;

/// <summary>A loop on all cores that fails like an ordinary one.</summary>
internal static class ParallelLoop
{
    /// <summary>Runs the body for each number from 0 to below the count, in any order.</summary>
    /// <remarks>Throws what the body threw, the first if several did, and not the AggregateException around it.</remarks>
    public static void For(int count, Action<int> body, CancellationToken cancellationToken = default) =>
        For(count, workers: -1, body, cancellationToken);

    /// <summary>Runs the body for each number from 0 to below the count, in any order, on so many threads at most; -1 for as many as there are.</summary>
    /// <remarks>Throws what the body threw, the first if several did, and not the AggregateException around it.</remarks>
    public static void For(int count, int workers, Action<int> body, CancellationToken cancellationToken)
    {
        try
        {
            Parallel.For(0, count, new ParallelOptions { CancellationToken = cancellationToken, MaxDegreeOfParallelism = workers }, body);
        }
        catch (AggregateException e)
        {
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
    }
}
