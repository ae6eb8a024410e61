using System.Runtime.InteropServices;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary>NumPy's format for one array: float32, C order.</summary>
internal sealed class NpyWriter : IEmbeddingWriter
{
    private readonly Stream _stream;
    private readonly float[] _row; // for rows that are padded

    public NpyWriter(Stream stream, int rows, int[] rowShape)
    {
        _stream = stream;
        _row = new float[rowShape.Aggregate(1, (length, size) => checked(length * size))];
        NpyHeader.Write(stream, "<f4", rowShape.Prepend(rows));
    }

    public void Write(string path, SiglipImageEmbedding embedding)
    {
        float[] values = embedding.Values;
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
