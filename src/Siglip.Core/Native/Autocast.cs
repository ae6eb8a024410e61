using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>torch's automatic mixed precision: matrix products and attention compute in bfloat16, what needs more in float32, weights stay float32.</summary>
/// <remarks>
/// TorchSharp 0.107 does not offer it, so libtorch's own functions are called, by the names that its compilers give them. Source: PyTorch,
/// torch/amp/autocast_mode.py, class autocast, and aten/src/ATen/autocast_mode.h.
/// </remarks>
internal static unsafe class Autocast
{
    private static readonly Lazy<Functions> Native = new(() => new Functions());

    /// <summary>Until disposal, what this thread computes on a device is computed in mixed precision. Only for forward passes: backward passes follow them.</summary>
    /// <exception cref="InvalidOperationException">The libtorch that the application uses is one whose functions have other names.</exception>
    public static IDisposable BFloat16(Device device) => new Scope(Native.Value, (sbyte)device.type);

    private sealed class Scope : IDisposable
    {
        private readonly Functions _functions;
        private readonly sbyte _device;

        public Scope(Functions functions, sbyte device)
        {
            (_functions, _device) = (functions, device);
            _functions.SetDtype(device, (sbyte)ScalarType.BFloat16);
            _functions.SetEnabled(device, 1);
        }

        public void Dispose()
        {
            _functions.SetEnabled(_device, 0);
            _functions.ClearCache(); // of converted weights, which change in the next step
        }
    }

    private sealed class Functions
    {
        private readonly nint _torch = NativeLibrary.Load("torch_cpu", typeof(torch).Assembly, null); // loaded by TorchNative; it also has the functions for GPUs

        // at::autocast::set_autocast_enabled(c10::DeviceType, bool), set_autocast_dtype(c10::DeviceType, c10::ScalarType), clear_cache(). The types are bytes.
        public Functions()
        {
            SetEnabled = (delegate* unmanaged<sbyte, byte, void>)Find(
                "_ZN2at8autocast20set_autocast_enabledEN3c1010DeviceTypeEb", "?set_autocast_enabled@autocast@at@@YAXW4DeviceType@c10@@_N@Z");
            SetDtype = (delegate* unmanaged<sbyte, sbyte, void>)Find(
                "_ZN2at8autocast18set_autocast_dtypeEN3c1010DeviceTypeENS1_10ScalarTypeE",
                "?set_autocast_dtype@autocast@at@@YAXW4DeviceType@c10@@W4ScalarType@4@@Z");
            ClearCache = (delegate* unmanaged<void>)Find("_ZN2at8autocast11clear_cacheEv", "?clear_cache@autocast@at@@YAXXZ");
        }

        public delegate* unmanaged<sbyte, byte, void> SetEnabled { get; }

        public delegate* unmanaged<sbyte, sbyte, void> SetDtype { get; }

        public delegate* unmanaged<void> ClearCache { get; }

        private nint Find(string name, string onWindows) =>
            NativeLibrary.TryGetExport(_torch, OperatingSystem.IsWindows() ? onWindows : name, out nint address)
                ? address
                : throw new InvalidOperationException($"This libtorch has no function '{(OperatingSystem.IsWindows() ? onWindows : name)}', so nothing can be computed in "
                    + $"mixed precision. Use the one that belongs to TorchSharp {typeof(torch).Assembly.GetName().Version?.ToString(3)}, or the precision Float32.");
    }
}
