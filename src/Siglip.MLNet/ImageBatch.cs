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
    private Exception?[] _faults = [];
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

    /// <summary>Takes over the current row's image.</summary>
    /// <param name="slot">The row's place in the batch.</param>
    /// <param name="row">The row's number in the data, for messages.</param>
    public void Read(int slot, long row)
    {
        Slots.Ensure(ref _rows, slot);
        Slots.Ensure(ref _faults, slot);
        Slots.Ensure(ref _pixelValues, slot, _processor.PixelValueCount);
        _rows[slot] = row;
        _source.Read(slot);
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
    public void CopyEmbedding(int slot, SiglipEmbeddingOutputs output, ref VBuffer<float> destination)
    {
        int length = _transformer.Embedder.GetLength(output);
        if (_faults[slot] is not { } fault)
        {
            VBufferEditor<float> editor = VBufferEditor.Create(ref destination, length);
            _embeddings!.Get(output, slot).CopyTo(editor.Values);
            destination = editor.Commit();
        }
        else if (_transformer.Settings.BadImages == BadImageHandling.Missing)
        {
            VBufferEditor<float> editor = VBufferEditor.Create(ref destination, length);
            editor.Values.Fill(float.NaN);
            destination = editor.Commit();
        }
        else
        {
            string message = $"Row {_rows[slot]}, column '{_column}': {fault.Message} Remove or repair the image, or set BadImages to "
                + $"{nameof(BadImageHandling)}.{nameof(BadImageHandling.Missing)} to get NaN for it.";
            throw fault is FileNotFoundException missing
                ? new FileNotFoundException(message, missing.FileName, fault)
                : new InvalidDataException(message, fault);
        }
    }

    private void Preprocess(int slot)
    {
        Span<float> pixelValues = _pixelValues.AsSpan(slot * _processor.PixelValueCount, _processor.PixelValueCount);
        try
        {
            _processor.Preprocess(_source.Decode(slot), pixelValues);
            _faults[slot] = null;
        }
        catch (Exception exception) when (exception is IOException or InvalidDataException or UnauthorizedAccessException
            or ArgumentException or NotSupportedException)
        {
            pixelValues.Clear(); // the row takes part in the forward pass, so the others' numbers do not depend on an older batch
            _faults[slot] = exception;
        }
    }
}
