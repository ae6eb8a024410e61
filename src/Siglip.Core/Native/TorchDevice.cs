using System.Globalization;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The device that a text names.</summary>
internal static class TorchDevice
{
    /// <summary>Checks that devices are there, before anything is computed or loaded.</summary>
    /// <param name="names">Names that <see cref="Find"/> takes, separated by commas; or <c>cuda:all</c>, all GPUs.</param>
    /// <inheritdoc cref="Find"/>
    public static Device[] FindAll(string names)
    {
        ArgumentNullException.ThrowIfNull(names);
        if (names != "cuda:all")
            return [.. names.Split(',').Select(Find)];
        Find("cuda");
        return [.. Enumerable.Range(0, cuda.device_count()).Select(index => device($"cuda:{index}"))];
    }

    /// <summary>Checks that the device is there, before anything is computed or loaded.</summary>
    /// <param name="name"><c>cpu</c>, <c>cuda</c> or <c>cuda:1</c>.</param>
    /// <exception cref="ArgumentException">The text names no device, or one that this machine does not have.</exception>
    /// <exception cref="InvalidOperationException">CUDA is not available.</exception>
    public static Device Find(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        TorchNative.Ensure();
        if (name == "cpu")
            return CPU;

        int index = -1;
        if (name != "cuda" && !(name.StartsWith("cuda:", StringComparison.Ordinal)
            && int.TryParse(name.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out index)))
            throw new ArgumentException($"The device is '{name}', expected cpu, cuda or cuda:N with the number N of a GPU, counted from 0.");
        if (!cuda.is_available())
            throw new InvalidOperationException($"The device is '{name}', but CUDA is not available. Add the package TorchSharp-cuda-linux or "
                + "TorchSharp-cuda-windows to the application's project in place of TorchSharp-cpu, and see that nvidia-smi lists a GPU; "
                + "or choose the device cpu.");
        if (index >= cuda.device_count())
            throw new ArgumentException($"The device is '{name}', but there are {cuda.device_count()} GPUs, counted from 0.");
        return device(name);
    }
}
