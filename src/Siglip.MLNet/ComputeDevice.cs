using Microsoft.ML.Runtime;
using Siglip.Core;
using Siglip.MLNet.Internals;
using TorchSharp;

namespace Siglip.MLNet;

/// <summary>The device that a model is to compute on. It belongs to the machine, so a saved model does not hold it.</summary>
/// <param name="GpuDeviceId">The CUDA device, from 0; null means the CPU.</param>
/// <param name="FallbackToCpu">Whether the CPU computes where there is no such device.</param>
/// <param name="Source">What the two are properties of, for messages.</param>
internal sealed record ComputeDevice(int? GpuDeviceId, bool FallbackToCpu, string Source)
{
    /// <summary>Whether all CUDA devices compute, not only the one of <see cref="GpuDeviceId"/>.</summary>
    public bool All { get; init; }

    /// <summary>The options' device, or that of the context if they name none.</summary>
    /// <exception cref="ArgumentException">The number is negative; or one device is asked for, and all.</exception>
    public static ComputeDevice From(SiglipImageFeaturizingOptions options, IHostEnvironment environment)
    {
        if (!options.UseAllGpus)
            return From(options.GpuDeviceId, options.FallbackToCpu, nameof(SiglipImageFeaturizingOptions), environment);
        if (options.GpuDeviceId is { } id)
            throw new ArgumentException($"UseAllGpus is set, and GpuDeviceId is {id}; leave one of them out.", nameof(options));
        return new ComputeDevice(0, options.FallbackToCpu, nameof(SiglipImageFeaturizingOptions)) { All = true };
    }

    /// <summary>The options' device, or that of the context if they name none.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The number is negative.</exception>
    public static ComputeDevice From(SiglipImageClassificationOptions options, IHostEnvironment environment) =>
        From(options.GpuDeviceId, options.FallbackToCpu, nameof(SiglipImageClassificationOptions), environment);

    /// <summary>The context's device.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The number is negative.</exception>
    public static ComputeDevice From(IHostEnvironment environment)
    {
        (int? id, bool fallbackToCpu) = Environments.DeviceOf(environment);
        return new ComputeDevice(id, fallbackToCpu, "MLContext").Checked();
    }

    /// <summary>The name that torch has for the device.</summary>
    /// <exception cref="InvalidOperationException">There is no such GPU, and the CPU is not allowed instead.</exception>
    public string Resolve(IHost host)
    {
        if (GpuDeviceId is not { } id)
            return "cpu";

        TorchNative.Ensure();
        int devices = torch.cuda.is_available() ? torch.cuda.device_count() : 0;
        if (id < devices)
            return All ? "cuda:all" : $"cuda:{id}";

        string found = devices == 0 ? "CUDA is not available" : $"only {devices} CUDA device(s) are available";
        string asked = All
            ? $"All GPU devices are asked for ({Source}.{nameof(SiglipImageFeaturizingOptions.UseAllGpus)})"
            : $"GPU device {id} is asked for ({Source}.{nameof(GpuDeviceId)})";
        if (!FallbackToCpu)
            throw new InvalidOperationException($"{asked}, and {found}. Reference "
                + "TorchSharp-cuda-linux or TorchSharp-cuda-windows and install NVIDIA's driver, or allow the CPU: set "
                + $"{Source}.{nameof(FallbackToCpu)} to true.");
        Environments.Warn(host, $"{asked}, and {found}: the CPU computes.");
        return "cpu";
    }

    private static ComputeDevice From(int? id, bool fallbackToCpu, string source, IHostEnvironment environment) =>
        id is null ? From(environment) : new ComputeDevice(id, fallbackToCpu, source).Checked();

    private ComputeDevice Checked() => GpuDeviceId is not < 0
        ? this
        : throw new ArgumentOutOfRangeException(nameof(GpuDeviceId), GpuDeviceId,
            $"{Source}.{nameof(GpuDeviceId)} is negative: GPU devices are numbered from 0; null means the CPU.");
}
