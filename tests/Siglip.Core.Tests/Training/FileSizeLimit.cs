using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Siglip.Core.Tests;

/// <summary>The largest file that this process may write: beyond it, a write fails as on a full disk, in the middle of a file.</summary>
internal static class FileSizeLimit
{
    private const int FileSize = 1; // RLIMIT_FSIZE
    private const int FileSizeExceeded = 25; // SIGXFSZ, which would end the process
    private const nint Ignore = 1; // SIG_IGN

    public static void Set(ulong bytes)
    {
        signal(FileSizeExceeded, Ignore);
        Apply(bytes);
    }

    public static void Remove()
    {
        Check(getrlimit(FileSize, out Limit limit));
        Apply(limit.Hard);
    }

    private static void Apply(ulong bytes)
    {
        Check(getrlimit(FileSize, out Limit limit));
        limit.Soft = bytes;
        Check(setrlimit(FileSize, ref limit));
    }

    private static void Check(int result)
    {
        if (result != 0)
            throw new Win32Exception();
    }

    [DllImport("libc", SetLastError = true)]
    private static extern int getrlimit(int resource, out Limit limit);

    [DllImport("libc", SetLastError = true)]
    private static extern int setrlimit(int resource, ref Limit limit);

    [DllImport("libc", SetLastError = true)]
    private static extern nint signal(int number, nint handler);

    private struct Limit
    {
        public ulong Soft;
        public ulong Hard;
    }
}
