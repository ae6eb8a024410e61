using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The pixel values of a batch of images on their way to the model. Its memory grows with the images, and is used again for the next batch.</summary>
/// <param name="tower">Whose images they are.</param>
/// <param name="asLevels">Whether they are kept as grey levels, and looked up on the device; only if the tower takes levels.</param>
internal sealed class PixelValueBatch(VisionTower tower, bool asLevels)
{
    private float[] _values = []; // [slots × pixel values of one image], or none
    private byte[] _levels = []; // [slots × pixel values of one image], or none
    private SiglipPatchGrid[] _grids = [];

    /// <summary>Makes a slot usable; not while others are being filled.</summary>
    public void Ensure(int slot)
    {
        if (slot < _grids.Length)
            return;
        int most = Array.MaxLength / tower.PixelValueCount;
        int slots = Math.Min(Math.Max(slot + 1, 2 * _grids.Length), most);
        if (asLevels)
            Array.Resize(ref _levels, slots * tower.PixelValueCount);
        else
            Array.Resize(ref _values, slots * tower.PixelValueCount);
        Array.Resize(ref _grids, slots);
    }

    /// <summary>Fills a slot with an image. Different slots may be filled at once.</summary>
    public void Preprocess(int slot, PixelRows image) =>
        _grids[slot] = asLevels ? tower.PreprocessToLevels(image, Of(_levels, slot)) : tower.Preprocess(image, Of(_values, slot));

    /// <inheritdoc cref="Preprocess(int, PixelRows)"/>
    public void Preprocess(int slot, RgbImage image)
    {
        using var rows = new ImageRows(image);
        Preprocess(slot, rows);
    }

    /// <summary>Fills a slot that has no image, so that the others' numbers do not depend on an older batch.</summary>
    public void Clear(int slot)
    {
        if (asLevels)
            Of(_levels, slot).Clear();
        else
            Of(_values, slot).Clear();
        _grids[slot] = tower.PlaceholderGrid;
    }

    /// <summary>The pixel values of some slots.</summary>
    /// <returns>[count, pixel values of one image], on the device, in the open dispose scope.</returns>
    public Tensor ToTensor(int first, int count, Device device)
    {
        int start = first * tower.PixelValueCount, length = count * tower.PixelValueCount;
        long[] shape = [count, tower.PixelValueCount];
        return asLevels ? tower.LookUp(Send(tensor(_levels.AsMemory(start, length), shape), device)) : Send(tensor(_values.AsMemory(start, length), shape), device);
    }

    /// <summary>The patches of the first slots.</summary>
    public ReadOnlySpan<SiglipPatchGrid> Grids(int count) => _grids.AsSpan(0, count);

    // A copy in torch's own memory: that of an array is aligned as it happens to be, which decides how sums are added up, and so the last bit.
    // A GPU fetches it from pinned memory while this thread goes on; torch keeps that until it has.
    private static Tensor Send(Tensor array, Device device) =>
        device.type == DeviceType.CUDA ? array.pin_memory().to(device, non_blocking: true) : array.clone().to(device);

    private Span<T> Of<T>(T[] memory, int slot) => memory.AsSpan(slot * tower.PixelValueCount, tower.PixelValueCount);
}
