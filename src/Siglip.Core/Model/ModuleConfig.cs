using System.Globalization;

namespace Siglip.Core;

/// <summary>What every module's constructor does first.</summary>
internal static class ModuleConfig
{
    private const double Gigabyte = 1e9;

    /// <summary>Loads libtorch before the base class of a module, which gets the name, calls it.</summary>
    /// <exception cref="DllNotFoundException">The application references no package with the native libraries.</exception>
    public static string Name(string name)
    {
        TorchNative.Ensure();
        return name;
    }

    /// <summary>Loads libtorch and checks the sizes, before the first tensor is created.</summary>
    public static TConfig Check<TConfig>(TConfig config)
        where TConfig : SiglipVisionConfigBase
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        TorchNative.Ensure();
        return config;
    }

    /// <summary>Checks, before the first tensor of a whole model is created, that its parameters fit into this machine's memory.</summary>
    /// <exception cref="ArgumentException">They do not.</exception>
    public static void CheckMemory(SiglipVisionConfigBase config)
    {
        double needed = ExpectedTensors.OfVisionModel(config).Sum(tensor => tensor.Shape.Aggregate((double)sizeof(float), (bytes, size) => bytes * size));
        double available = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (needed > available)
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"A model of these sizes needs {needed / Gigabyte:N1} GB for its "
                + $"parameters, this machine has {available / Gigabyte:N1} GB of memory. Lower hidden_size ({config.HiddenSize}), intermediate_size "
                + $"({config.IntermediateSize}) or num_hidden_layers ({config.NumHiddenLayers})."));
    }
}
