using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Siglip.Core;

/// <summary>The hash by which the hub names a file's contents: SHA-256 of LFS, or SHA-1 as git computes it, over a header and the contents.</summary>
internal sealed class BlobHash : IDisposable
{
    private const int Sha256Digits = 64;

    private readonly IncrementalHash _hash;
    private readonly byte[] _header;

    public BlobHash(HubFile file)
    {
        bool isSha256 = file.Etag.Length == Sha256Digits;
        Name = isSha256 ? "SHA-256" : "git SHA-1";
#pragma warning disable CA5350 // git's own
        _hash = IncrementalHash.CreateHash(isSha256 ? HashAlgorithmName.SHA256 : HashAlgorithmName.SHA1);
#pragma warning restore CA5350
        _header = isSha256 ? [] : Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"blob {file.Size}\0"));
        _hash.AppendData(_header);
    }

    public string Name { get; }

    public void Append(ReadOnlySpan<byte> bytes) => _hash.AppendData(bytes);

    /// <summary>Starts anew.</summary>
    public void Reset()
    {
        _hash.GetHashAndReset();
        _hash.AppendData(_header);
    }

    public string ToHex() => Convert.ToHexStringLower(_hash.GetCurrentHash());

    public void Dispose() => _hash.Dispose();
}
