using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>A <see cref="SiglipEncoder"/> on the CPU for inference only: its weights are laid out for the fastest kernels, which it takes out of the modules.</summary>
internal abstract class PackedEncoder : IDisposable
{
    private const int RowsPerThread = 1024; // more make nothing faster, and need more memory

    private readonly List<PackedLinear> _linears = [];

    /// <summary>Takes the weights of the next layer.</summary>
    public abstract void Add(EncoderLayerParts parts);

    /// <summary>Computes all layers, for so many images at once as keep the processor busy.</summary>
    /// <param name="hiddenStates">[batch, patches, hidden].</param>
    /// <param name="attentionMask">Boolean [batch, 1, 1, patches], true for those that are attended to; null for all.</param>
    /// <returns>[batch, patches, hidden].</returns>
    public Tensor Forward(Tensor hiddenStates, Tensor? attentionMask)
    {
        long batch = hiddenStates.shape[0], images = Math.Max(1, RowsPerThread * (long)get_num_threads() / hiddenStates.shape[1]);
        long parts = (batch + images - 1) / images;
        if (parts <= 1)
            return ForwardImages(hiddenStates, attentionMask);
        images = (batch + parts - 1) / parts; // equal parts need the least memory

        using DisposeScope scope = NewDisposeScope();
        Tensor result = empty(hiddenStates.shape, hiddenStates.dtype);
        for (long first = 0; first < batch; first += images)
        {
            using DisposeScope part = NewDisposeScope();
            long count = Math.Min(images, batch - first);
            result.narrow(0, first, count).copy_(ForwardImages(hiddenStates.narrow(0, first, count), attentionMask?.narrow(0, first, count)));
        }

        return result.MoveToOuterDisposeScope();
    }

    /// <summary>The weight that a parameter had before it was packed, or in 8 bits what it is computed with.</summary>
    /// <returns>Null if the parameter was not packed.</returns>
    public Tensor? Unpack(Tensor parameter) => _linears.Select(linear => linear.Unpack(parameter)).FirstOrDefault(weight => weight is not null);

    public void Dispose() => _linears.ForEach(linear => linear.Dispose());

    /// <summary>Keeps a product until this is disposed.</summary>
    protected T Own<T>(T linear)
        where T : PackedLinear
    {
        _linears.Add(linear);
        return linear;
    }

    /// <inheritdoc cref="Forward"/>
    protected abstract Tensor ForwardImages(Tensor hiddenStates, Tensor? attentionMask);
}
