using System.Buffers;

namespace Siglip.Core;

/// <summary>The rows of an image that is in memory.</summary>
internal sealed class ImageRows(RgbImage image) : PixelRows(image.Width, image.Height)
{
    private int _next;
    private byte[] _padded = []; // the last rows, with enough room behind them

    public override ReadOnlySpan<byte> Next()
    {
        int stride = Width * Channels, needed = checked((ColumnKernels.Rows * stride) + ColumnKernels.Slack);
        ReadOnlySpan<byte> rows = image.Data[(_next * stride)..];
        _next += ColumnKernels.Rows;
        if (rows.Length >= needed)
            return rows[..needed];
        if (_padded.Length == 0)
            _padded = ArrayPool<byte>.Shared.Rent(needed);
        rows.CopyTo(_padded);
        return _padded;
    }

    public override RgbImage ToImage() => image;

    protected override void Dispose(bool disposing)
    {
        ArrayPool<byte>.Shared.Return(_padded);
        base.Dispose(disposing);
    }
}
