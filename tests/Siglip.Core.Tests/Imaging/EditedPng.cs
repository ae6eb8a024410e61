using System.Buffers.Binary;

namespace Siglip.Core.Tests;

/// <summary>Changes PNG files so that their checksums still fit.</summary>
internal static class EditedPng
{
    private const int AfterHeader = 8 + 25; // signature; IHDR with length, type and checksum

    /// <summary>The checksum of a chunk's type and data: CRC-32 as in the PNG specification, annex D.</summary>
    public static uint Checksum(ReadOnlySpan<byte> typeAndData)
    {
        uint crc = uint.MaxValue;
        foreach (byte value in typeAndData)
        {
            crc ^= value;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc >> 1) ^ ((crc & 1) * 0xEDB88320);
        }

        return ~crc;
    }

    /// <summary>Puts a chunk behind the header.</summary>
    public static byte[] WithChunk(byte[] png, ReadOnlySpan<byte> type, ReadOnlySpan<byte> data)
    {
        var chunk = new byte[12 + data.Length];
        BinaryPrimitives.WriteInt32BigEndian(chunk, data.Length);
        type.CopyTo(chunk.AsSpan(4));
        data.CopyTo(chunk.AsSpan(8));
        BinaryPrimitives.WriteUInt32BigEndian(chunk.AsSpan(8 + data.Length), Checksum(chunk.AsSpan(4, 4 + data.Length)));
        return [.. png[..AfterHeader], .. chunk, .. png[AfterHeader..]];
    }
}
