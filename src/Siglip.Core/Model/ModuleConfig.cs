namespace Siglip.Core;

/// <summary>What every module's constructor does first.</summary>
internal static class ModuleConfig
{
    /// <summary>Loads libtorch before the base class of a module, which gets the name, calls it.</summary>
    /// <exception cref="DllNotFoundException">The application references no package with the native libraries.</exception>
    public static string Name(string name)
    {
        TorchNative.Ensure();
        return name;
    }

    /// <summary>Loads libtorch and checks the sizes, before the first tensor is created.</summary>
    public static SiglipVisionConfig Check(SiglipVisionConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        TorchNative.Ensure();
        return config;
    }
}
