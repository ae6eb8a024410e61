using System.Runtime.ExceptionServices;
using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;

namespace Siglip.MLNet;

/// <summary>The images of some rows on their way from the input column to embeddings: read, decode, one forward pass.</summary>
/// <remarks>The memory is used again for each batch. Serves one thread at a time.</remarks>
internal sealed class ImageBatch
{
    private readonly SiglipImageFeaturizingTransformer _transformer;
    private readonly PixelValueBatch _images;
    private readonly SiglipEmbeddingOutputs _outputs;
    private readonly string _column;
    private readonly ImageSource _source;
    private long[] _rows = [];
    private string?[] _names = []; // of bad images, where they are known
    private Exception?[] _faults = []; // of reading or decoding; null where the image is good
    private SiglipImageEmbeddings? _embeddings; // null if no image of the batch is good, or no embedding is wanted

    /// <param name="transformer">Whose model computes.</param>
    /// <param name="schema">Names the input column.</param>
    /// <param name="getter">Gives the current row's image, of the input column's raw type.</param>
    /// <param name="outputs">The embeddings that are wanted.</param>
    public ImageBatch(SiglipImageFeaturizingTransformer transformer, FeaturizedSchema schema, Delegate getter, SiglipEmbeddingOutputs outputs)
    {
        _transformer = transformer;
        _images = transformer.Embedder.CreateBatch();
        _outputs = outputs;
        _column = schema.Source.Name;
        _source = ImageSource.Create(getter, schema.SourceKind, transformer.Settings);
    }

    /// <summary>Takes over the current row's image. If its getter fails, then that is an error of this row's embedding.</summary>
    /// <param name="slot">The row's place in the batch.</param>
    /// <param name="row">The row's number in the data, for messages.</param>
    public void Read(int slot, long row)
    {
        Slots.Ensure(ref _rows, slot);
        Slots.Ensure(ref _faults, slot);
        Slots.Ensure(ref _names, slot);
        _images.Ensure(slot);
        (_rows[slot], _faults[slot]) = (row, null);
        try
        {
            _source.Read(slot);
        }
        catch (Exception exception) // thrown by CopyEmbedding, or made NaN
        {
            SetFault(slot, name: null, exception);
            return;
        }

        if (!_source.CanDecodeLater)
            Preprocess(slot);
    }

    /// <summary>Computes the embeddings of the rows read, in one forward pass.</summary>
    /// <param name="count">Number of rows.</param>
    /// <exception cref="ObjectDisposedException">The transformer is disposed.</exception>
    public void Compute(int count)
    {
        _embeddings = null;
        _transformer.CheckNotDisposed(); // numbers of patches need no forward pass, which would say so
        if (_source.CanDecodeLater)
        {
            if (count == 1)
                Preprocess(0);
            else
                ParallelLoop.For(count, Preprocess);
        }

        if (_outputs != SiglipEmbeddingOutputs.None && _faults.AsSpan(0, count).Contains(null))
            _embeddings = _transformer.Embed(_images, count, _outputs);
    }

    /// <summary>A getter of one output, of the row that the consumer stands on.</summary>
    /// <param name="kind">The output.</param>
    /// <param name="slot">Gives the row's place in the batch, which is computed.</param>
    /// <remarks>
    /// The getter throws <see cref="FileNotFoundException"/> if the row's file does not exist, <see cref="InvalidDataException"/> if the row holds no image,
    /// or a damaged one, and what the input column's getter threw if that says nothing of the image.
    /// </remarks>
    public Delegate CreateGetter(SiglipOutputKind kind, Func<int> slot)
    {
        switch (kind)
        {
            case SiglipOutputKind.PatchCount:
                return (ValueGetter<float>)((ref float value) => value = Grid(slot()) is { } grid ? grid.Count : float.NaN);
            case SiglipOutputKind.PatchGrid:
                return (ValueGetter<VBuffer<float>>)((ref VBuffer<float> value) =>
                {
                    Fill(ref value, 2, Grid(slot()) is { } grid ? [grid.Rows, grid.Columns] : []);
                });
            default:
                SiglipEmbeddingOutputs output = FeaturizedSchema.FlagOf(kind);
                int length = _transformer.Embedder.GetLength(output);
                return (ValueGetter<VBuffer<float>>)((ref VBuffer<float> value) =>
                {
                    int row = slot();
                    Fill(ref value, length, IsGood(row) ? _embeddings!.Get(output, row) : []);
                });
        }
    }

    // No values stand for a missing image: NaN. Fewer values than the length are followed by zeros: there is no patch.
    private static void Fill(ref VBuffer<float> destination, int length, ReadOnlySpan<float> values)
    {
        VBufferEditor<float> editor = VBufferEditor.Create(ref destination, length);
        values.CopyTo(editor.Values);
        editor.Values[values.Length..].Fill(values.IsEmpty ? float.NaN : 0);
        destination = editor.Commit();
    }

    private SiglipPatchGrid? Grid(int slot) => IsGood(slot) ? _images.Grids(slot + 1)[slot] : null;

    // False if the image is bad, and bad images are missing values.
    private bool IsGood(int slot)
    {
        if (_faults[slot] is not { } fault)
            return true;
        if (!IsOfImage(fault))
            ExceptionDispatchInfo.Throw(fault);
        if (_transformer.Settings.BadImages == BadImageHandling.Missing)
            return false;
        string reason = Sentences.Of(fault);
        string name = _names[slot] is { } known && !reason.Contains(known, StringComparison.Ordinal) ? $"'{known}': " : "";
        string message = $"Row {_rows[slot]}, column '{_column}': {name}{reason} With BadImages set to "
            + $"{nameof(BadImageHandling)}.{nameof(BadImageHandling.Missing)} its embedding is NaN instead.";
        throw fault is FileNotFoundException missing
            ? new FileNotFoundException(message, missing.FileName, fault)
            : new InvalidDataException(message, fault);
    }

    private static bool IsOfImage(Exception exception) => exception is IOException or InvalidDataException or UnauthorizedAccessException
        or ArgumentException or NotSupportedException;

    private void Preprocess(int slot)
    {
        if (_faults[slot] is not null)
            return;
        try
        {
            _images.Preprocess(slot, _source.Decode(slot));
        }
        catch (Exception exception) when (IsOfImage(exception))
        {
            SetFault(slot, _source.NameOf(slot), exception);
        }
    }

    private void SetFault(int slot, string? name, Exception exception)
    {
        _images.Clear(slot);
        (_names[slot], _faults[slot]) = (name, exception);
    }
}
