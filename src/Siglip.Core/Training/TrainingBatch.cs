using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Images for one step of the optimizer, or a part of it.</summary>
/// <param name="PixelValues">[batch, 3, height, width], float32, on the CPU.</param>
/// <param name="Targets">[batch, classes], float32: the share of each class; more than one with mixup and cutmix.</param>
internal sealed record TrainingBatch(Tensor PixelValues, Tensor Targets) : IDisposable
{
    /// <summary>Number of images.</summary>
    public int Count => (int)PixelValues.shape[0];

    public void Dispose()
    {
        PixelValues.Dispose();
        Targets.Dispose();
    }
}
