using System.Buffers.Binary;

namespace Siglip.MLNet;

/// <summary>A SHA-256 over an image and everything that its embeddings depend on.</summary>
/// <param name="First">The first 16 bytes.</param>
/// <param name="Last">The last 16 bytes.</param>
internal readonly record struct ImageKey(UInt128 First, UInt128 Last)
{
    public const int Length = 32;

    /// <param name="sha256">32 bytes.</param>
    public static ImageKey From(ReadOnlySpan<byte> sha256) =>
        new(BinaryPrimitives.ReadUInt128BigEndian(sha256), BinaryPrimitives.ReadUInt128BigEndian(sha256[16..]));

    public byte[] ToBytes()
    {
        byte[] bytes = new byte[Length];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, First);
        BinaryPrimitives.WriteUInt128BigEndian(bytes.AsSpan(16), Last);
        return bytes;
    }
}
