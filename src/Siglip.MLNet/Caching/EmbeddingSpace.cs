using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Microsoft.ML.Data;
using Siglip.Core;

namespace Siglip.MLNet;

/// <summary>Everything but the image that embeddings depend on: the model, its preprocessing and precision. Equal images have equal keys in it.</summary>
internal sealed class EmbeddingSpace
{
    private const int Numbers = 1; // raised when a version of this library computes other embeddings from the same weights and images

    private readonly byte[] _hash;

    /// <param name="embedder">Whose model was loaded from a checkpoint.</param>
    /// <param name="settings">The settings that it was loaded with.</param>
    /// <param name="device">Torch's name of the device.</param>
    public EmbeddingSpace(SiglipImageEmbedder embedder, FeaturizerSettings settings, string device)
    {
        (HiddenSize, PatchCount) = (embedder.Config.HiddenSize, embedder.PatchCount);
        string text = string.Join('\n', $"SigLIP embeddings {Numbers}", embedder.ModelSha256, settings.Precision, settings.ImageBackend, embedder.ProcessorConfig.ToJson(),
            settings.InterpolatePositionEncoding, settings.Normalize, settings.ApplyExifOrientation, device.Split(':')[0]);
        if (settings.FastDecode)
            text += "\nfast decode"; // otherwise the key is that of the versions before the option
        _hash = SHA256.HashData(Encoding.UTF8.GetBytes(text));
    }

    public int HiddenSize { get; }

    /// <summary>The most patches of an image.</summary>
    public int PatchCount { get; }

    /// <summary>The key of an encoded image.</summary>
    public ImageKey KeyOf(ReadOnlySpan<byte> encoded) => Hash([0], encoded);

    /// <summary>The key of an image's pixels.</summary>
    public ImageKey KeyOf(MLImage image)
    {
        Span<byte> kind = stackalloc byte[13];
        kind[0] = 1;
        BinaryPrimitives.WriteInt32LittleEndian(kind[1..], image.Width);
        BinaryPrimitives.WriteInt32LittleEndian(kind[5..], image.Height);
        BinaryPrimitives.WriteInt32LittleEndian(kind[9..], (int)image.PixelFormat);
        return Hash(kind, image.Pixels);
    }

    private ImageKey Hash(ReadOnlySpan<byte> kind, ReadOnlySpan<byte> image)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(_hash);
        hash.AppendData(kind);
        hash.AppendData(image);
        Span<byte> result = stackalloc byte[ImageKey.Length];
        hash.GetHashAndReset(result);
        return ImageKey.From(result);
    }
}
