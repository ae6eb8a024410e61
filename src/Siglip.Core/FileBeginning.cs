using System.Text;

namespace Siglip.Core;

/// <summary>The first bytes of a file that is not what it should be, in words.</summary>
internal static class FileBeginning
{
    public static string Describe(ReadOnlySpan<byte> data)
    {
        ReadOnlySpan<byte> beginning = data[..Math.Min(data.Length, 16)];
        return beginning.IndexOfAnyExceptInRange((byte)' ', (byte)'~') is -1 or > 3
            ? $"it begins with the text \"{Encoding.ASCII.GetString(beginning)}\""
            : $"it begins with the bytes {Convert.ToHexString(beginning)}";
    }
}
