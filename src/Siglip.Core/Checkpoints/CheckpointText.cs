using System.Globalization;

namespace Siglip.Core;

/// <summary>The JSON files of a checkpoint.</summary>
internal static class CheckpointText
{
    private const long MaxLength = 1 << 24; // far above any configuration or index, far below what harms

    public static string Read(string path)
    {
        using FileStream stream = File.OpenRead(path);
        return Read(stream, $"'{path}'");
    }

    public static string Read(Stream stream, string source)
    {
        CheckLength(stream.Length, source);
        using var reader = new StreamReader(stream, System.Text.Encoding.UTF8, leaveOpen: true);
        return reader.ReadToEnd();
    }

    /// <exception cref="InvalidDataException">It is longer than any of them.</exception>
    public static void CheckLength(long length, string source)
    {
        if (length > MaxLength)
            throw new InvalidDataException(string.Create(
                CultureInfo.InvariantCulture, $"{source} has {length:N0} bytes, at most {MaxLength:N0} are allowed; it is no configuration file."));
    }
}
