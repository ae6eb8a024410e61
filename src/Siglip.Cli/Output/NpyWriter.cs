using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Siglip.Cli;

/// <summary>NumPy's format for one array: float32, C order.</summary>
/// <remarks>Source: numpy.lib.format, version 1.0.</remarks>
internal sealed class NpyWriter : IEmbeddingWriter
{
    private readonly Stream _stream;
    private readonly float[] _row; // for rows that are padded

    public NpyWriter(Stream stream, int rows, int[] rowShape)
    {
        _stream = stream;
        _row = new float[rowShape.Aggregate(1, (length, size) => checked(length * size))];
        string shape = string.Join(", ", rowShape.Prepend(rows).Select(size => size.ToString(CultureInfo.InvariantCulture)));
        string header = $"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}";
        const int Prefix = 10; // magic, version, length of the header
        int padding = 64 - ((Prefix + header.Length + 1) % 64);
        byte[] text = Encoding.ASCII.GetBytes(header + new string(' ', padding % 64) + "\n");

        stream.Write([0x93, .. "NUMPY"u8, 1, 0, (byte)text.Length, (byte)(text.Length >> 8)]);
        stream.Write(text);
    }

    public void Write(string path, float[] values)
    {
        if (values.Length < _row.Length) // an image with fewer patches than the most: zeros follow
        {
            _row.AsSpan().Clear();
            values.CopyTo(_row, 0);
            values = _row;
        }

        if (BitConverter.IsLittleEndian)
        {
            _stream.Write(MemoryMarshal.AsBytes(values.AsSpan()));
            return;
        }

        Span<byte> bytes = stackalloc byte[sizeof(float)];
        foreach (float value in values)
        {
            System.Buffers.Binary.BinaryPrimitives.WriteSingleLittleEndian(bytes, value);
            _stream.Write(bytes);
        }
    }

    public void Dispose()
    {
        // the stream is the caller's
    }
}
