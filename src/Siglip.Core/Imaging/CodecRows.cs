using System.Buffers;
using System.Runtime.Intrinsics;
using SkiaSharp;

namespace Siglip.Core;

/// <summary>The rows of a file that the codec decodes.</summary>
internal abstract class CodecRows : PixelRows
{
    protected const int RgbaBytes = 4;

    private readonly byte[] _rgb;
    private int _next;

    protected CodecRows(SKImageInfo info)
        : base(info.Width, info.Height) =>
        _rgb = ArrayPool<byte>.Shared.Rent(checked((ColumnKernels.Rows * info.Width * Channels) + ColumnKernels.Slack));

    public override ReadOnlySpan<byte> Next()
    {
        int rows = Math.Min(ColumnKernels.Rows, Height - _next);
        DropAlpha(Rgba(_next, rows), _rgb);
        _next += rows;
        return _rgb;
    }

    /// <summary>Rows with red, green, blue and alpha.</summary>
    /// <param name="first">The row after the last one that was asked for.</param>
    /// <param name="count">At most <see cref="ColumnKernels.Rows"/>.</param>
    protected abstract ReadOnlySpan<byte> Rgba(int first, int count);

    protected override void Dispose(bool disposing)
    {
        ArrayPool<byte>.Shared.Return(_rgb);
        base.Dispose(disposing);
    }

    private static void DropAlpha(ReadOnlySpan<byte> rgba, Span<byte> rgb)
    {
        int from = 0, to = 0;
        if (Vector128.IsHardwareAccelerated)
        {
            // Four pixels: twelve bytes that matter, and four that the next ones overwrite.
            Vector128<byte> colours = Vector128.Create(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 15, 15, 15, (byte)15);
            for (; from <= rgba.Length - Vector128<byte>.Count; from += 4 * RgbaBytes, to += 4 * Channels)
                Vector128.Shuffle(Vector128.Create(rgba[from..]), colours).CopyTo(rgb[to..]);
        }

        for (; from < rgba.Length; from += RgbaBytes, to += Channels)
        {
            rgb[to] = rgba[from];
            rgb[to + 1] = rgba[from + 1];
            rgb[to + 2] = rgba[from + 2];
        }
    }

    /// <summary>Decoded a few rows at a time, as they are asked for.</summary>
    public sealed class Streamed : CodecRows
    {
        // Two rows of JPEG blocks, so that the pixels are still in the cache when they are compacted; a multiple of the rows asked for.
        private const int StripRows = 16;

        private readonly OpenCodec _file;
        private readonly SKImageInfo _info;
        private readonly byte[] _strip;

        /// <param name="file">Owned by the new object.</param>
        /// <param name="info">Of a size that the codec can decode to.</param>
        /// <exception cref="InvalidDataException">The file cannot be decoded.</exception>
        public Streamed(OpenCodec file, SKImageInfo info)
            : base(info)
        {
            (_file, _info) = (file, info);
            _strip = ArrayPool<byte>.Shared.Rent(checked(info.RowBytes * StripRows));
            SKCodecResult start = file.Codec.StartScanlineDecode(info);
            if (start == SKCodecResult.Success)
                return;
            Dispose();
            throw file.Undecodable(start);
        }

        protected override unsafe ReadOnlySpan<byte> Rgba(int first, int count)
        {
            if (first % StripRows == 0)
            {
                int rows = Math.Min(StripRows, Height - first);
                fixed (byte* rgba = _strip)
                {
                    if (_file.Codec.GetScanlines((nint)rgba, rows, _info.RowBytes) != rows)
                        throw _file.Undecodable(SKCodecResult.IncompleteInput);
                }
            }

            return _strip.AsSpan(first % StripRows * _info.RowBytes, count * _info.RowBytes);
        }

        protected override void Dispose(bool disposing)
        {
            _file.Dispose();
            ArrayPool<byte>.Shared.Return(_strip);
            base.Dispose(disposing);
        }
    }

    /// <summary>Decoded as a whole.</summary>
    public sealed class Whole : CodecRows
    {
        // Of larger buffers the pool would keep hundreds of megabytes for good.
        private const int MaxPooledBytes = ImageDecoder.LargeImageBytes;

        private readonly SKImageInfo _info;
        private readonly byte[] _rgba;
        private readonly bool _pooled;

        /// <param name="file">Owned by the new object, which needs it only now.</param>
        /// <param name="info">The picture's own size.</param>
        /// <exception cref="InvalidDataException">The file cannot be decoded.</exception>
        public Whole(OpenCodec file, SKImageInfo info)
            : base(info)
        {
            int length = info.BytesSize;
            (_info, _pooled) = (info, length <= MaxPooledBytes);
            _rgba = _pooled ? ArrayPool<byte>.Shared.Rent(length) : new byte[length];
            if (_pooled)
                _rgba.AsSpan(0, length).Clear(); // a codec leaves alone what the first frame does not cover
            try
            {
                using (file)
                    Decode(file, _rgba.AsSpan(0, length));
            }
            catch
            {
                Dispose();
                throw;
            }
        }

        protected override ReadOnlySpan<byte> Rgba(int first, int count) => _rgba.AsSpan(first * _info.RowBytes, count * _info.RowBytes);

        protected override void Dispose(bool disposing)
        {
            if (_pooled)
                ArrayPool<byte>.Shared.Return(_rgba);
            base.Dispose(disposing);
        }

        private unsafe void Decode(OpenCodec file, Span<byte> whole)
        {
            fixed (byte* rgba = whole)
            {
                SKCodecResult result = file.Codec.GetPixels(_info, (nint)rgba);
                if (result != SKCodecResult.Success)
                    throw file.Undecodable(result);
            }

            file.Image.Correct(whole);
        }
    }
}
