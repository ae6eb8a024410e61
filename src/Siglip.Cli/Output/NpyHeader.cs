using System.Globalization;
using System.Text;

namespace Siglip.Cli;

/// <summary>What NumPy's format begins with; the values follow in C order.</summary>
/// <remarks>Source: numpy.lib.format, version 1.0.</remarks>
internal static class NpyHeader
{
    /// <param name="stream">Gets the header.</param>
    /// <param name="type">NumPy's name of the values' type, such as &lt;f4.</param>
    /// <param name="shape">At least two sizes.</param>
    public static void Write(Stream stream, string type, IEnumerable<int> shape)
    {
        string sizes = string.Join(", ", shape.Select(size => size.ToString(CultureInfo.InvariantCulture)));
        string header = $"{{'descr': '{type}', 'fortran_order': False, 'shape': ({sizes}), }}";
        const int Prefix = 10; // magic, version, length of the header
        int padding = 64 - ((Prefix + header.Length + 1) % 64);
        byte[] text = Encoding.ASCII.GetBytes(header + new string(' ', padding % 64) + "\n");

        stream.Write([0x93, .. "NUMPY"u8, 1, 0, (byte)text.Length, (byte)(text.Length >> 8)]);
        stream.Write(text);
    }
}
