using System.Reflection;

namespace Siglip.Notebooks.Tests;

/// <summary>The repository that these tests were built from.</summary>
internal static class RepositoryFolder
{
    public static string Path { get; } = typeof(RepositoryFolder).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(item => item.Key == "RepositoryFolder").Value!;

    public static string Notebooks { get; } = System.IO.Path.Combine(Path, "notebooks");

    /// <summary>The apps that are notebooks, without their extension.</summary>
    public static IEnumerable<object[]> Names => Directory.EnumerateFiles(Notebooks, "*.cs").Order(StringComparer.Ordinal)
        .Select(file => new object[] { System.IO.Path.GetFileNameWithoutExtension(file) });

    public static string App(string name) => System.IO.Path.Combine(Notebooks, $"{name}.cs");

    public static string Notebook(string name) => System.IO.Path.Combine(Notebooks, $"{name}.ipynb");
}
