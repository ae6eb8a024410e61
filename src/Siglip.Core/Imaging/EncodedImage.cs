using System.Buffers.Binary;
using System.Globalization;

namespace Siglip.Core;

/// <summary>An image file whose format is known and which is all there; a class of its own for each format.</summary>
/// <remarks>
/// Codecs return pixels for truncated files, and for some cuts they do not even say so. Therefore the file's own structure is followed
/// from its beginning to its end mark before anything is decoded.
/// </remarks>
internal abstract class EncodedImage
{
    private const string Expected = "expected a JPEG, PNG, WebP, GIF or BMP file";

    protected EncodedImage(string format, ReadOnlyMemory<byte> bytes, string source) => (Format, Bytes, Source) = (format, bytes, source);

    /// <summary>JPEG, PNG, WebP, GIF or BMP.</summary>
    public string Format { get; }

    /// <summary>The whole file.</summary>
    public ReadOnlyMemory<byte> Bytes { get; }

    /// <summary>What error messages call the file.</summary>
    public string Source { get; }

    /// <summary>The file as the codec is to see it: rewritten where it would read another picture in it than Pillow does.</summary>
    public virtual ReadOnlyMemory<byte> ForCodec => Bytes;

    /// <summary>The EXIF orientation, 1 if there is none.</summary>
    public virtual int Orientation => ExifOrientation.Upright;

    /// <summary>Whether the file goes on to the end of the image.</summary>
    protected abstract bool IsComplete { get; }

    public static EncodedImage Parse(ReadOnlyMemory<byte> bytes, string source)
    {
        if (bytes.IsEmpty)
            throw new InvalidDataException($"{source} is empty (0 bytes), {Expected}. Copy or download it again.");
        EncodedImage file = Recognize(bytes, source) ?? throw new InvalidDataException(
            $"{source} is no image that can be read: {FileBeginning.Describe(bytes.Span)}, {Expected}. Convert or remove it.");
        if (!file.IsComplete)
        {
            throw new InvalidDataException(string.Create(
                CultureInfo.InvariantCulture,
                $"{source} is a truncated {file.Format} file: its {bytes.Length:N0} bytes end before the image does. Copy or download it again."));
        }

        return file;
    }

    /// <summary>Changes the codec's pixels to those of Pillow.</summary>
    public virtual void Correct(Span<byte> rgba)
    {
    }

    public InvalidDataException Damaged(string fault) => new($"{Source} is a damaged {Format} file: {fault}. Copy or download it again.");

    private static EncodedImage? Recognize(ReadOnlyMemory<byte> bytes, string source)
    {
        ReadOnlySpan<byte> data = bytes.Span;
        return data.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xD8, 0xFF]) ? new JpegFile(bytes, source)
            : data.StartsWith(PngFile.Signature) ? new PngFile(bytes, source)
            : data.StartsWith("GIF87a"u8) || data.StartsWith("GIF89a"u8) ? new GifFile(bytes, source)
            : data.Length >= 12 && data.StartsWith("RIFF"u8) && data[8..].StartsWith("WEBP"u8) ? new WebPFile(bytes, source)
            : IsBmp(data) ? new BmpFile(bytes, source)
            : null;
    }

    // Two letters are a weak sign, so the length of the second header is looked at as well.
    private static bool IsBmp(ReadOnlySpan<byte> data) =>
        data.StartsWith("BM"u8)
        && (data.Length < 18 || BinaryPrimitives.ReadInt32LittleEndian(data[14..]) is 12 or 40 or 52 or 56 or 64 or 108 or 124);
}
