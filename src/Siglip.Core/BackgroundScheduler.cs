using System.Runtime.InteropServices;

namespace Siglip.Core;

/// <summary>Runs tasks in order, on threads of its own, at most one for each processor, which take the processors where the model's threads leave them idle.</summary>
/// <remarks>
/// The model's threads wait for each other some hundred times in a forward pass: one that has to share its processor holds up all of them. Hence the lower
/// priority. Who waits for a task that has not begun runs it himself. Threads start when there is work, and end when there has been none for a while.
/// </remarks>
internal sealed partial class BackgroundScheduler : TaskScheduler
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly object _gate = new(); // Monitor's, which can be waited on
    private readonly Queue<Task> _tasks = [];
    private int _threads;
    private int _idle;

    private BackgroundScheduler()
    {
    }

    /// <summary>The process's, so that sequences side by side share the processors.</summary>
    public static BackgroundScheduler Shared { get; } = new();

    public override int MaximumConcurrencyLevel => Environment.ProcessorCount;

    protected override void QueueTask(Task task)
    {
        lock (_gate)
        {
            _tasks.Enqueue(task);
            Monitor.Pulse(_gate);
            if (_idle >= _tasks.Count || _threads == MaximumConcurrencyLevel)
                return;
            _threads++;
            new Thread(Work) { IsBackground = true, Name = "SigLIP images" }.UnsafeStart();
        }
    }

    // A task that was run by who waited for it stays in the queue, and does nothing there.
    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) => TryExecuteTask(task);

    protected override IEnumerable<Task> GetScheduledTasks()
    {
        lock (_gate)
            return [.. _tasks];
    }

    private void Work()
    {
        ThreadPriorities.Lower();
        while (Next() is { } task)
            TryExecuteTask(task);
    }

    private Task? Next()
    {
        lock (_gate)
        {
            while (_tasks.Count == 0)
            {
                _idle++;
                bool woken = Monitor.Wait(_gate, Patience);
                _idle--;
                if (woken || _tasks.Count > 0)
                    continue;
                _threads--;
                return null;
            }

            return _tasks.Dequeue();
        }
    }

    private static partial class ThreadPriorities
    {
        private const int OfThisThread = 0, Process = 0; // to Linux, a thread is a process

        // A tenth of an ordinary thread's share of a processor: other programs cannot stop the work altogether.
        private const int Niceness = 10;

        /// <summary>Lowers the priority of the current thread for good.</summary>
        public static void Lower()
        {
            Thread.CurrentThread.Priority = ThreadPriority.BelowNormal; // without effect on Linux
            if (OperatingSystem.IsLinux())
                _ = SetPriority(Process, OfThisThread, GetPriority(Process, OfThisThread) + Niceness); // what fails leaves it as it was
        }

        [LibraryImport("libc", EntryPoint = "getpriority")]
        private static partial int GetPriority(int which, int who);

        [LibraryImport("libc", EntryPoint = "setpriority")]
        private static partial int SetPriority(int which, int who, int priority);
    }
}
