namespace Siglip.Core;

/// <summary>SkiaSharp's native library, which its first use loads.</summary>
internal static class SkiaNative
{
    /// <summary>Makes something that may be the first use.</summary>
    /// <exception cref="InvalidOperationException">The library is missing; the message names its package.</exception>
    public static T Load<T>(Func<T> firstUse)
    {
        try
        {
            return firstUse();
        }
        catch (Exception e) when (e is TypeInitializationException or DllNotFoundException)
        {
            throw new InvalidOperationException("The native library of SkiaSharp, which decodes and draws images, cannot be loaded. On Linux, add the package "
                + "SkiaSharp.NativeAssets.Linux.NoDependencies 2.88.9 to the application's project.", e);
        }
    }
}
