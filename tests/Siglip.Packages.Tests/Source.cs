using System.Reflection;

namespace Siglip.Packages.Tests;

/// <summary>The repository that the tests were built from.</summary>
internal static class Source
{
    public static string Repository { get; } = Metadata("Repository");

    /// <summary>The one that all packages have.</summary>
    public static string Version { get; } = Metadata("Version");

    /// <summary>Of the packages with libtorch's native libraries.</summary>
    public static string LibtorchVersion { get; } = Metadata("LibtorchVersion");

    public static string PathOf(string file) => Path.Combine(Repository, file);

    private static string Metadata(string key) =>
        typeof(Source).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == key).Value!;
}
