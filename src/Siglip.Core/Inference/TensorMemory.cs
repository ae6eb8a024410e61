using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Where a tensor's values lie.</summary>
internal static unsafe class TensorMemory
{
    /// <summary>The first value of a contiguous tensor on the CPU; valid as long as the tensor.</summary>
    /// <param name="tensor">At least one value; of any length, unlike a span of its bytes.</param>
    public static T* Pointer<T>(this Tensor tensor)
        where T : unmanaged
    {
        using Tensor flat = tensor.view(-1), first = flat.narrow(0, 0, 1);
        return (T*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(first.bytes));
    }
}
