namespace Siglip.Core;

/// <summary>The rows of an image, each handed out once, from the top to the bottom; so a large image need not be in memory as a whole.</summary>
/// <remarks>Serves one thread.</remarks>
internal abstract class PixelRows(int width, int height) : IDisposable
{
    protected const int Channels = 3;

    public int Width { get; } = width;

    public int Height { get; } = height;

    /// <summary>The picture's own size: larger than that of the rows if the codec has reduced it.</summary>
    public (int Width, int Height) FullSize { get; init; } = (width, height);

    /// <summary>Disposed with the rows.</summary>
    public IDisposable? Turn { private get; init; }

    /// <summary>The next <see cref="ColumnKernels.Rows"/> rows; those behind the last one have no meaning.</summary>
    /// <returns>Red, green and blue, then at least <see cref="ColumnKernels.Slack"/> bytes without meaning. Valid until the next call.</returns>
    /// <exception cref="InvalidDataException">The pixels are damaged.</exception>
    public abstract ReadOnlySpan<byte> Next();

    /// <summary>All rows; none may have been handed out.</summary>
    /// <exception cref="InvalidDataException">The pixels are damaged.</exception>
    public virtual RgbImage ToImage()
    {
        byte[] pixels = GC.AllocateUninitializedArray<byte>(Width * Height * Channels);
        int block = ColumnKernels.Rows * Width * Channels;
        for (int at = 0; at < pixels.Length; at += block)
            Next()[..Math.Min(block, pixels.Length - at)].CopyTo(pixels.AsSpan(at));
        return new RgbImage(Width, Height, pixels);
    }

    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing) => Turn?.Dispose();
}
