using System.Buffers;

namespace Siglip.Core;

/// <summary>Names of files that come from elsewhere, and become names in a folder.</summary>
internal static class PlainName
{
    private static readonly SearchValues<char> NotInNames = SearchValues.Create([.. "/\\:*?\"<>|", .. Enumerable.Range(0, ' ').Select(code => (char)code)]);

    private static readonly string[] WindowsDevices =
        ["CON", "PRN", "AUX", "NUL", .. Enumerable.Range(0, 10).SelectMany(i => (string[])[$"COM{i}", $"LPT{i}"])];

    /// <summary>Whether a name leads to a file in the folder on every system: not out of it, nor, on Windows, to a device, which any extension may follow, or to a
    /// file of another name.</summary>
    public static bool IsOne(string name) =>
        name.Length > 0
        && !name.AsSpan().ContainsAny(NotInNames)
        && name[^1] is not ('.' or ' ')
        && !WindowsDevices.Contains(name.Split('.')[0].TrimEnd(' '), StringComparer.OrdinalIgnoreCase);
}
