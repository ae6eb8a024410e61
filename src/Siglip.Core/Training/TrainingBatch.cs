using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Images for one step of the optimizer, or a part of it.</summary>
/// <param name="Inputs">Pixel values [batch, 3, height, width]; or, if the images were embedded before the training, what the classifier gets of each
/// [batch, embeddings, hidden]. float32, on the CPU.</param>
/// <param name="Targets">[batch, classes], float32: the share of each class; more than one with mixup and cutmix.</param>
internal sealed record TrainingBatch(Tensor Inputs, Tensor Targets) : IDisposable
{
    /// <summary>Number of images.</summary>
    public int Count => (int)Inputs.shape[0];

    public void Dispose()
    {
        Inputs.Dispose();
        Targets.Dispose();
    }
}
