namespace Siglip.Core;

/// <summary>A loop that is started now and waited for later.</summary>
internal sealed class AwaitedLoop
{
    private readonly int _count;
    private readonly Action<int> _run;
    private readonly Task[] _begun;

    private AwaitedLoop(int count, Action<int> run, Task[] begun) => (_count, _run, _begun) = (count, run, begun);

    /// <summary>A loop that begins in the background, beside the model: see <see cref="BackgroundScheduler"/>.</summary>
    /// <param name="count">The body is run for each number from 0 to below this.</param>
    /// <param name="body">May run for several numbers at once, in any order.</param>
    /// <param name="cancellationToken">Keeps the body from being run for further numbers.</param>
    public static AwaitedLoop Begin(int count, Action<int> body, CancellationToken cancellationToken)
    {
        var tasks = new Task[count];
        for (int i = 0; i < count; i++)
        {
            int number = i;
            tasks[i] = Task.Factory.StartNew(() => body(number), cancellationToken, TaskCreationOptions.None, BackgroundScheduler.Shared);
        }

        return new AwaitedLoop(count, number => tasks[number].GetAwaiter().GetResult(), tasks);
    }

    /// <summary>A loop that begins when it is waited for, as there is nothing beside which it could run.</summary>
    /// <inheritdoc cref="Begin"/>
    public static AwaitedLoop Defer(int count, Action<int> body, CancellationToken cancellationToken) => new(
        count,
        number =>
        {
            cancellationToken.ThrowIfCancellationRequested();
            body(number);
        },
        []);

    /// <summary>Runs the body, on all cores, for those numbers that have not had their turn, and waits for the others.</summary>
    /// <exception cref="OperationCanceledException">The loop is cancelled.</exception>
    /// <exception cref="Exception">What the body threw, the first if several did.</exception>
    public void Finish()
    {
        if (_count == 1) // no threads for nothing
            _run(0);
        else
            ParallelLoop.For(_count, _run);
    }

    /// <summary>Waits until the body runs for no number any more; called after the cancellation, or a failed <see cref="Finish"/>.</summary>
    public void Leave()
    {
        foreach (Task task in _begun)
            ((IAsyncResult)task).AsyncWaitHandle.WaitOne();
    }
}
