using System.Collections.Concurrent;

namespace Siglip.Core;

/// <summary>A thread for one batch after the other.</summary>
/// <remarks>glibc keeps what a thread frees for that thread, and OpenMP its threads: on threads of the pool, each that had a turn would keep the memory of a forward pass.</remarks>
internal sealed class ModelThread : IDisposable
{
    private readonly BlockingCollection<Task> _passes = []; // not disposed, as the thread and whoever ends it use it at the same time; it holds nothing of the system's

    public ModelThread() => new Thread(Work) { IsBackground = true, Name = "SigLIP model" }.UnsafeStart();

    /// <summary>Computes something when what was asked for before is done.</summary>
    public Task<T> Run<T>(Func<T> compute)
    {
        var pass = new Task<T>(compute, TaskCreationOptions.RunContinuationsAsynchronously);
        _passes.Add(pass);
        return pass;
    }

    /// <summary>Ends the thread, after what it was asked for.</summary>
    public void Dispose() => _passes.CompleteAdding();

    private void Work()
    {
        foreach (Task pass in _passes.GetConsumingEnumerable())
            pass.RunSynchronously(TaskScheduler.Default);
    }
}
