using System.Buffers;
using SkiaSharp;

namespace Siglip.Core;

/// <summary>A file in the hands of the codec, which reads its bytes where they are.</summary>
internal sealed class OpenCodec : IDisposable
{
    private MemoryHandle _pin; // not readonly, or a copy of it would be disposed
    private readonly SKData _data;

    /// <exception cref="InvalidDataException">The codec does not take the file for an image, or it is too large.</exception>
    public unsafe OpenCodec(EncodedImage image)
    {
        Image = image;
        ReadOnlyMemory<byte> bytes = image.ForCodec;
        _pin = bytes.Pin();
        try
        {
            _data = CreateData((nint)_pin.Pointer, bytes.Length);
            Codec = SKCodec.Create(_data) ?? throw image.Damaged("its header cannot be read");
            ImageDecoder.CheckSize(Codec.Info.Width, Codec.Info.Height, image.Source);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public EncodedImage Image { get; }

    public SKCodec Codec { get; }

    /// <summary>What a failure of the codec means.</summary>
    public InvalidDataException Undecodable(SKCodecResult result) =>

        // The file has its end mark, so incomplete input means that something before it is missing.
        Image.Damaged(result == SKCodecResult.IncompleteInput ? "pixels are missing in it" : $"its pixels cannot be decoded ({result})");

    public void Dispose()
    {
        Codec?.Dispose();
        _data?.Dispose();
        _pin.Dispose();
    }

    // SkiaSharp's first use loads its native library.
    private static SKData CreateData(nint bytes, int length)
    {
        try
        {
            return SKData.Create(bytes, length);
        }
        catch (Exception e) when (e is TypeInitializationException or DllNotFoundException)
        {
            throw new InvalidOperationException("The native library of SkiaSharp, which decodes images, cannot be loaded. On Linux, add the package "
                + "SkiaSharp.NativeAssets.Linux.NoDependencies 2.88.9 to the application's project.", e);
        }
    }
}
