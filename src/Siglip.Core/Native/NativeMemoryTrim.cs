using System.Runtime.InteropServices;

namespace Siglip.Core;

/// <summary>Gives memory that was freed back to the system.</summary>
internal static unsafe class NativeMemoryTrim
{
    /// <summary>glibc keeps what is freed between what is not, which would be the weights of every layer that is packed; other C libraries need no word.</summary>
    public static void Trim()
    {
        if (OperatingSystem.IsLinux() && NativeLibrary.TryLoad("libc.so.6", out nint library) && NativeLibrary.TryGetExport(library, "malloc_trim", out nint trim))
            ((delegate* unmanaged<nuint, int>)trim)(0);
    }
}
