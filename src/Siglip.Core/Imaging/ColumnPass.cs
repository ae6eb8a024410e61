using System.Buffers;
using System.Diagnostics;

namespace Siglip.Core;

/// <summary>The rows of an image with their columns resized, made when they are asked for.</summary>
/// <remarks>
/// Only the rows that the row pass looks at are kept, so that they stay in the cache: for a photo some dozens instead of thousands.
/// </remarks>
internal sealed class ColumnPass : IDisposable
{
    private const int Channels = 3;

    private readonly PixelRows _source;
    private readonly RgbImage? _image; // the source, if its columns keep their size
    private readonly int _width;
    private readonly ResizerCode _code;
    private readonly ResamplingWeights? _weights; // otherwise
    private readonly byte[] _strip = [];          // [rows, stride]; resized rows from _first on, up to _end
    private readonly int _capacity;
    private int _first;
    private int _end;

    /// <summary>Prepares the pass; nothing is resized yet.</summary>
    /// <param name="source">None of its rows may have been handed out.</param>
    /// <param name="width">Width of the result.</param>
    /// <param name="resampling">The filter.</param>
    /// <param name="backend">Whose weights.</param>
    /// <param name="mostRows">How many rows are asked for at once, at most.</param>
    /// <param name="code">How to compute.</param>
    public ColumnPass(PixelRows source, int width, ImageResampling resampling, SiglipImageBackend backend, int mostRows, ResizerCode code)
    {
        (_source, _width, _code) = (source, width, code);
        if (width == source.Width)
        {
            _image = source.ToImage();
            Stride = width * Channels;
            return;
        }

        // A pixel is stored as four bytes, of which the next one overwrites the last; hence one more at the end of a row.
        Stride = (width * Channels) + 1;
        _weights = new ResamplingWeights(source.Width, width, resampling, backend);

        // Twice what is asked for: then the rows that are still needed move to the front no more often than once each.
        _capacity = (int)Math.Min((2L * mostRows) + ColumnKernels.Rows, (long)source.Height + ColumnKernels.Rows - 1);
        _strip = ArrayPool<byte>.Shared.Rent(checked(_capacity * Stride));
    }

    /// <summary>Bytes from a row to the next one.</summary>
    public int Stride { get; }

    /// <summary>Rows of the source with their columns resized.</summary>
    /// <param name="first">The first row, never before that of an earlier call.</param>
    /// <param name="count">Number of rows.</param>
    /// <returns>[count, <see cref="Stride"/>]; what follows a row's pixels has no meaning. Valid until the next call.</returns>
    public ReadOnlySpan<byte> Rows(int first, int count)
    {
        if (_weights is null)
            return _image!.Data.Slice(first * Stride, count * Stride);

        while (_end < first + count)
        {
            if (_end + ColumnKernels.Rows - _first > _capacity)
                Forget(first);
            ResizeBlock(_weights);
        }

        return _strip.AsSpan((first - _first) * Stride, count * Stride);
    }

    public void Dispose() => ArrayPool<byte>.Shared.Return(_strip);

    // Moves the rows from this one on to the front.
    private void Forget(int first)
    {
        Debug.Assert(first > _first && first <= _end);
        _strip.AsSpan((first - _first) * Stride, (_end - first) * Stride).CopyTo(_strip);
        _first = first;
    }

    private void ResizeBlock(ResamplingWeights weights)
    {
        Span<byte> destination = _strip.AsSpan((_end - _first) * Stride, ColumnKernels.Rows * Stride);
        ColumnKernels.Resize(_source.Next(), _source.Width * Channels, destination, Stride, _width, weights, _code);
        _end += ColumnKernels.Rows;
    }
}
