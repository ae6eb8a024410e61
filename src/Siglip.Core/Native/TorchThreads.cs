using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Work on the threads that torch's own kernels run on.</summary>
/// <remarks>Between two kernels torch's OpenMP threads wait for the next one actively, for a few milliseconds: threads of .NET would share the processors with them.
/// So the work is started as a parallel region of the same OpenMP. Where it is another one than GNU's, .NET's threads do the work. Source: GCC,
/// libgomp/parallel.c, GOMP_parallel.</remarks>
internal static unsafe class TorchThreads
{
    private static readonly Lazy<Functions?> OpenMP = new(Functions.Find);

    /// <summary>Divides the numbers from 0 to below the count into one range for each thread.</summary>
    /// <param name="count">How many numbers.</param>
    /// <param name="body">Called with the first number of a range and the one after its last.</param>
    public static void For(int count, Action<int, int> body)
    {
        if (OpenMP.Value is not { } functions)
        {
            int threads = Math.Min(get_num_threads(), count);
            ParallelLoop.For(threads, thread => body(Begin(count, thread, threads), Begin(count, thread + 1, threads)));
            return;
        }

        var work = new Work(count, body, functions);
        GCHandle handle = GCHandle.Alloc(work);
        try
        {
            functions.Parallel(&Run, GCHandle.ToIntPtr(handle), (uint)Math.Clamp(get_num_threads(), 1, count), 0);
        }
        finally
        {
            handle.Free();
        }

        if (work.Error is { } error)
            ExceptionDispatchInfo.Throw(error);
    }

    private static int Begin(int count, int thread, int threads) => (int)((long)count * thread / threads);

    [UnmanagedCallersOnly]
    private static void Run(nint data)
    {
        var work = (Work)GCHandle.FromIntPtr(data).Target!;
        int thread = work.Functions.ThreadNumber(), threads = work.Functions.ThreadCount();
        try
        {
            work.Body(Begin(work.Count, thread, threads), Begin(work.Count, thread + 1, threads));
        }
        catch (Exception e) // must not leave the native region
        {
            work.Error = e;
        }
    }

    private sealed record Work(int Count, Action<int, int> Body, Functions Functions)
    {
        public Exception? Error { get; set; }
    }

    private sealed record Functions(nint ParallelAddress, nint ThreadNumberAddress, nint ThreadCountAddress)
    {
        public delegate* unmanaged<delegate* unmanaged<nint, void>, nint, uint, uint, void> Parallel =>
            (delegate* unmanaged<delegate* unmanaged<nint, void>, nint, uint, uint, void>)ParallelAddress;

        public delegate* unmanaged<int> ThreadNumber => (delegate* unmanaged<int>)ThreadNumberAddress;

        public delegate* unmanaged<int> ThreadCount => (delegate* unmanaged<int>)ThreadCountAddress;

        public static Functions? Find()
        {
            nint library = NativeLibrary.Load("torch_cpu", typeof(torch).Assembly, null); // its own OpenMP is found through it
            return NativeLibrary.TryGetExport(library, "GOMP_parallel", out nint parallel)
                && NativeLibrary.TryGetExport(library, "omp_get_thread_num", out nint number)
                && NativeLibrary.TryGetExport(library, "omp_get_num_threads", out nint count)
                    ? new Functions(parallel, number, count)
                    : null;
        }
    }
}
