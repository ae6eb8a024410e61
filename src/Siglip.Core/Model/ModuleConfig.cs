namespace Siglip.Core;

/// <summary>What every module's constructor does first.</summary>
internal static class ModuleConfig
{
    /// <summary>Loads libtorch and checks the sizes, before the first tensor is created.</summary>
    public static SiglipVisionConfig Check(SiglipVisionConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        TorchNative.Ensure();
        return config;
    }
}
