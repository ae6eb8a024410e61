using System.Runtime.ExceptionServices;
using Microsoft.ML.Data;
using Siglip.Core;

namespace Siglip.MLNet;

/// <summary>The images of some rows on their way from the input column to embeddings: read, decode, one forward pass.</summary>
/// <remarks>The memory is used again for each batch. Serves one thread at a time.</remarks>
internal sealed class ImageBatch
{
    private readonly SiglipImageFeaturizingTransformer _transformer;
    private readonly SiglipImageProcessor _processor;
    private readonly SiglipEmbeddingOutputs _outputs;
    private readonly string _column;
    private readonly ImageSource _source;
    private long[] _rows = [];
    private Exception?[] _faults = []; // of reading or decoding; null where the image is good
    private float[] _pixelValues = []; // [rows, 3, height, width]
    private SiglipImageEmbeddings? _embeddings; // null if no image of the batch is good

    /// <param name="transformer">Whose model computes.</param>
    /// <param name="schema">Names the input column.</param>
    /// <param name="getter">Gives the current row's image, of the input column's raw type.</param>
    /// <param name="outputs">The embeddings that are wanted.</param>
    public ImageBatch(SiglipImageFeaturizingTransformer transformer, FeaturizedSchema schema, Delegate getter, SiglipEmbeddingOutputs outputs)
    {
        _transformer = transformer;
        _processor = transformer.Embedder.Processor;
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
        Slots.Ensure(ref _pixelValues, slot, _processor.PixelValueCount);
        (_rows[slot], _faults[slot]) = (row, null);
        try
        {
            _source.Read(slot);
        }
        catch (Exception exception) // thrown by CopyEmbedding, or made NaN
        {
            SetFault(slot, exception);
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
        if (_source.CanDecodeLater)
        {
            if (count == 1)
                Preprocess(0);
            else
                Parallel.For(0, count, Preprocess);
        }

        if (_faults.AsSpan(0, count).Contains(null))
            _embeddings = _transformer.Embed(_pixelValues, count, _outputs);
    }

    /// <summary>Copies one embedding of one row.</summary>
    /// <exception cref="FileNotFoundException">The row's file does not exist.</exception>
    /// <exception cref="InvalidDataException">The row holds no image, or a damaged one.</exception>
    /// <exception cref="Exception">The input column's getter failed with something that says nothing of the image.</exception>
    public void CopyEmbedding(int slot, SiglipEmbeddingOutputs output, ref VBuffer<float> destination)
    {
        int length = _transformer.Embedder.GetLength(output);
        if (_faults[slot] is not { } fault)
        {
            VBufferEditor<float> editor = VBufferEditor.Create(ref destination, length);
            _embeddings!.Get(output, slot).CopyTo(editor.Values);
            destination = editor.Commit();
        }
        else if (!IsOfImage(fault))
        {
            ExceptionDispatchInfo.Throw(fault);
        }
        else if (_transformer.Settings.BadImages == BadImageHandling.Missing)
        {
            VBufferEditor<float> editor = VBufferEditor.Create(ref destination, length);
            editor.Values.Fill(float.NaN);
            destination = editor.Commit();
        }
        else
        {
            string message = $"Row {_rows[slot]}, column '{_column}': {Sentences.Of(fault)} With BadImages set to "
                + $"{nameof(BadImageHandling)}.{nameof(BadImageHandling.Missing)} its embedding is NaN instead.";
            throw fault is FileNotFoundException missing
                ? new FileNotFoundException(message, missing.FileName, fault)
                : new InvalidDataException(message, fault);
        }
    }

    private static bool IsOfImage(Exception exception) => exception is IOException or InvalidDataException or UnauthorizedAccessException
        or ArgumentException or NotSupportedException;

    private void Preprocess(int slot)
    {
        if (_faults[slot] is not null)
            return;
        try
        {
            _processor.Preprocess(_source.Decode(slot), PixelValuesOf(slot));
        }
        catch (Exception exception) when (IsOfImage(exception))
        {
            SetFault(slot, exception);
        }
    }

    private void SetFault(int slot, Exception exception)
    {
        PixelValuesOf(slot).Clear(); // the row takes part in the forward pass, so the others' numbers do not depend on an older batch
        _faults[slot] = exception;
    }

    private Span<float> PixelValuesOf(int slot) => _transformer.Embedder.PixelValuesOf(_pixelValues, slot);
}
