using System.Runtime.ExceptionServices;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace Siglip.MLNet;

/// <summary>Some rows of the input on their way through a <see cref="FeaturizedRowCursor"/>: read, computed, handed out. The memory is used again for later
/// rows.</summary>
internal sealed class RowBatch : IDisposable
{
    private readonly SiglipImageFeaturizingTransformer _transformer;
    private readonly DataViewRowCursor _input;
    private readonly RowBuffer?[] _buffers; // one for each column; null unless it is active and of the input
    private readonly FeaturizedSchema _schema;
    private readonly ImageBatch _images;
    private readonly ValueGetter<DataViewRowId> _idGetter;
    private DataViewRowId[] _ids = [];

    /// <param name="transformer">Whose model computes.</param>
    /// <param name="input">Gives the rows.</param>
    /// <param name="schema">The columns.</param>
    /// <param name="active">A flag for each column; at least one column that is added.</param>
    public RowBatch(SiglipImageFeaturizingTransformer transformer, DataViewRowCursor input, FeaturizedSchema schema, bool[] active)
    {
        (_transformer, _input, _schema) = (transformer, input, schema);
        _idGetter = input.GetIdGetter();
        _buffers = [.. schema.Output.Select(column => active[column.Index] && !schema.IsAdded(column.Index)
            ? RowBuffer.Create(input, schema.InputAt(column.Index))
            : null)];

        // A source that is handed on as well is got from the input only once.
        Delegate source = _buffers[schema.SourceIndex]?.LastRead ?? FeaturizedRowCursor.GetterOf(input, schema);
        _images = new ImageBatch(transformer, schema, source, schema.ActiveEmbeddings(active));
    }

    /// <summary>Number of rows.</summary>
    public int Count { get; private set; }

    /// <summary>Whether no row follows these.</summary>
    public bool IsLast { get; private set; }

    /// <summary>What the input threw instead of giving the row after these.</summary>
    public ExceptionDispatchInfo? Failure { get; private set; }

    /// <inheritdoc cref="ImageBatch.CanBegin"/>
    public bool CanBegin => _images.CanBegin;

    /// <summary>Reads rows. If the input fails, the rows before are good, and the failure waits until they are handed out.</summary>
    /// <param name="first">The number of the first row in the data.</param>
    /// <param name="most">The most rows.</param>
    public void Read(long first, int most)
    {
        (Count, IsLast, Failure) = (0, false, null);
        try
        {
            while (Count < most)
            {
                if (!_input.MoveNext())
                {
                    IsLast = true;
                    return;
                }

                _transformer.CheckAlive();
                Slots.Ensure(ref _ids, Count);
                _idGetter(ref _ids[Count]);
                foreach (RowBuffer? buffer in _buffers)
                    buffer?.Read(Count);
                _images.Read(Count, first + Count);
                Count++;
            }
        }
        catch (Exception exception)
        {
            (IsLast, Failure) = (true, ExceptionDispatchInfo.Capture(exception));
        }
    }

    /// <inheritdoc cref="ImageBatch.Begin"/>
    public void Begin(CancellationToken cancellationToken) => _images.Begin(Count, cancellationToken);

    /// <inheritdoc cref="ImageBatch.Compute"/>
    public BatchCounts Compute() => _images.Compute(Count);

    public DataViewRowId IdOf(int slot) => _ids[slot];

    /// <summary>A getter of an active column.</summary>
    /// <param name="column">Of the output.</param>
    /// <param name="slot">Gives the slot of the row that the consumer stands on.</param>
    public Delegate CreateGetter(DataViewSchema.Column column, Func<int> slot) => _schema.IsAdded(column.Index)
        ? _schema.AddedAt(column.Index).CreateGetter(_images, slot)
        : _buffers[column.Index]!.CreateGetter(slot);

    /// <summary>Waits for what goes on in the background, which is canceled, and frees the rows.</summary>
    public void Dispose()
    {
        _images.Leave();
        foreach (RowBuffer? buffer in _buffers)
            buffer?.Dispose();
    }
}
