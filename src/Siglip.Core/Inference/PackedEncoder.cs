using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>A <see cref="SiglipEncoder"/> on the CPU for inference only: its weights are laid out for the fastest kernels, which it takes out of the modules.</summary>
internal abstract class PackedEncoder : IDisposable
{
    /// <summary>Computes all layers.</summary>
    /// <param name="hiddenStates">[batch, patches, hidden].</param>
    /// <param name="attentionMask">Boolean [batch, 1, 1, patches], true for those that are attended to; null for all.</param>
    /// <returns>[batch, patches, hidden].</returns>
    public abstract Tensor Forward(Tensor hiddenStates, Tensor? attentionMask);

    /// <summary>The weight that a parameter had before it was packed, or in 8 bits what it is computed with.</summary>
    /// <returns>Null if the parameter was not packed.</returns>
    public abstract Tensor? Unpack(Tensor parameter);

    public abstract void Dispose();
}
