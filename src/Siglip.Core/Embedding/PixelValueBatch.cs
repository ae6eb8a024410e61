namespace Siglip.Core;

/// <summary>The pixel values of a batch of images on their way to the model. Its memory grows with the images, and is used again for the next batch.</summary>
internal sealed class PixelValueBatch(VisionTower tower)
{
    private float[] _values = []; // [slots × pixel values of one image]
    private SiglipPatchGrid[] _grids = [];

    /// <summary>Makes a slot usable; not while others are being filled.</summary>
    public void Ensure(int slot)
    {
        if (slot < _grids.Length)
            return;
        int most = Array.MaxLength / tower.PixelValueCount;
        int slots = Math.Min(Math.Max(slot + 1, 2 * _grids.Length), most);
        Array.Resize(ref _values, slots * tower.PixelValueCount);
        Array.Resize(ref _grids, slots);
    }

    /// <summary>Fills a slot with an image. Different slots may be filled at once.</summary>
    public void Preprocess(int slot, PixelRows image) => _grids[slot] = tower.Preprocess(image, ValuesOf(slot));

    /// <inheritdoc cref="Preprocess(int, PixelRows)"/>
    public void Preprocess(int slot, RgbImage image)
    {
        using var rows = new ImageRows(image);
        Preprocess(slot, rows);
    }

    /// <summary>Fills a slot that has no image, so that the others' numbers do not depend on an older batch.</summary>
    public void Clear(int slot)
    {
        ValuesOf(slot).Clear();
        _grids[slot] = tower.PlaceholderGrid;
    }

    /// <summary>The pixel values of the first slots.</summary>
    public Memory<float> Values(int count) => _values.AsMemory(0, count * tower.PixelValueCount);

    /// <summary>The patches of the first slots.</summary>
    public ReadOnlySpan<SiglipPatchGrid> Grids(int count) => _grids.AsSpan(0, count);

    private Span<float> ValuesOf(int slot) => _values.AsSpan(slot * tower.PixelValueCount, tower.PixelValueCount);
}
