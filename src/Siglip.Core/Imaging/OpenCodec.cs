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
            nint pointer = (nint)_pin.Pointer;
            _data = SkiaNative.Load(() => SKData.Create(pointer, bytes.Length));
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
}
