using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Images that a model whose classifier alone is trained embeds once, when the first batch is asked for; all batches are made of the stored
/// embeddings.</summary>
/// <param name="images">The images, in the same order each time.</param>
/// <param name="embed">Pixel values [batch, 3, height, width] to embeddings [batch, embeddings, hidden], float32, on the CPU.</param>
/// <param name="options">Batch size and seed.</param>
/// <param name="shuffle">Whether each epoch has an order of its own.</param>
internal sealed class EmbeddedImages(ITrainingSource images, Func<Tensor, Tensor> embed, SiglipTrainingOptions options, bool shuffle) : ITrainingSource, IDisposable
{
    private Tensor? _embeddings; // [images, embeddings, hidden]
    private Tensor? _classes; // [images]

    public int Count => images.Count;

    public IReadOnlyList<string> Labels => images.Labels;

    public IReadOnlyCollection<string> SkippedImages => images.SkippedImages;

    public void Prepare(CancellationToken cancellationToken)
    {
        if (_embeddings is not null)
            return;
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGradients = no_grad(); // not inference_mode: the classifier's gradient is made of these tensors
        Tensor classes = empty(Count, ScalarType.Int64);
        Tensor? embeddings = null;
        int done = 0;
        foreach (TrainingBatch batch in images.Batches(1, 0, cancellationToken))
        {
            using TrainingBatch owned = batch;
            using Tensor embedded = embed(batch.Inputs);
            embeddings ??= empty([Count, .. embedded.shape[1..]], ScalarType.Float32);
            embeddings[done..(done + batch.Count)] = embedded;
            classes[done..(done + batch.Count)] = batch.Targets.argmax(1);
            done += batch.Count;
        }

        // Fewer than Count if bad images are left out.
        (_embeddings, _classes) = (embeddings!.narrow(0, 0, done).DetachFromDisposeScope(), classes.narrow(0, 0, done).DetachFromDisposeScope());
    }

    public IEnumerable<TrainingBatch> Batches(int epoch, int firstBatch, CancellationToken cancellationToken)
    {
        Prepare(cancellationToken);
        long[][] batches = [.. TrainingSource.Order((int)_classes!.shape[0], shuffle, options.Seed, epoch).Select(index => (long)index).Chunk(options.BatchSize)];
        foreach (long[] indices in batches.Skip(firstBatch))
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return Batch(indices);
        }
    }

    public void Dispose()
    {
        _embeddings?.Dispose();
        _classes?.Dispose();
    }

    private TrainingBatch Batch(long[] indices)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor chosen = tensor(indices);
        Tensor targets = nn.functional.one_hot(_classes!.index_select(0, chosen), Labels.Count).to(float32); // [batch, classes]
        return new TrainingBatch(_embeddings!.index_select(0, chosen).MoveToOuterDisposeScope(), targets.MoveToOuterDisposeScope());
    }
}
