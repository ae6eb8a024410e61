using System.Runtime.ExceptionServices;
using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;

namespace Siglip.MLNet;

/// <summary>Reads rows ahead in batches, embeds the images of a batch in one forward pass, and hands the rows out one by one.</summary>
/// <remarks>
/// While the model computes a batch, the images of the next ones are decoded in the background. The input is read on the consumer's thread only, and the first
/// batch without looking further, because whoever wants a few rows only is not to pay for more.
/// </remarks>
internal sealed class FeaturizedRowCursor : DataViewRowCursor
{
    private readonly DataViewRowCursor _input;
    private readonly FeaturizedSchema _schema;
    private readonly bool[] _active;
    private readonly CursorLog _log;
    private readonly int _batchSize;
    private readonly RowBatch[] _batches; // used in turns
    private readonly Queue<int> _ahead = []; // those that are read and not yet computed
    private readonly CancellationTokenSource _stop = new();
    private int _current; // the batch that is handed out
    private int _last = -1; // the batch that was read last
    private int _count;
    private int _slot = -1;
    private long _position = -1;
    private long _rowsRead;
    private bool _ended;
    private ExceptionDispatchInfo? _failure; // of the input or the model: no row after those read before can be given

    /// <param name="transformer">Whose model computes.</param>
    /// <param name="input">Owned by the new cursor once it is constructed.</param>
    /// <param name="schema">The columns.</param>
    /// <param name="active">A flag for each column; at least one column that is added.</param>
    /// <param name="log">Where the cursor says what it does; owned by the new cursor once it is constructed.</param>
    public FeaturizedRowCursor(
        SiglipImageFeaturizingTransformer transformer, DataViewRowCursor input, FeaturizedSchema schema, bool[] active, CursorLog log)
    {
        (_input, _schema, _active, _log) = (input, schema, active, log);
        _batchSize = transformer.Settings.BatchSize;

        // Whoever asks for batches of one row may have a stream whose next row comes after this one's embedding.
        int ahead = schema.SourceKind == ImageColumnKind.Image || _batchSize == 1 ? 0 : transformer.Embedder.BatchesAhead(_batchSize);
        _batches = [.. Enumerable.Range(0, 1 + ahead).Select(_ => new RowBatch(transformer, input, schema, active))];
    }

    public override long Position => _position;

    public override long Batch => 0;

    public override DataViewSchema Schema => _schema.Output;

    public override bool MoveNext()
    {
        if (_ended)
            return false;
        if (_slot + 1 >= _count && !ReadBatch())
        {
            _position = -1;
            _failure?.Throw();
            Dispose();
            return false;
        }

        _slot++;
        _position++;
        return true;
    }

    public override ValueGetter<DataViewRowId> GetIdGetter() => (ref DataViewRowId id) => id = _batches[_current].IdOf(CurrentSlot());

    public override bool IsColumnActive(DataViewSchema.Column column)
    {
        _schema.CheckIndex(column);
        return _active[column.Index];
    }

    public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
    {
        _schema.CheckColumn(column);
        if (!_active[column.Index])
            return FeaturizedSchema.Cast<TValue>(null, column);
        ValueGetter<TValue>[] getters = [.. _batches.Select(batch => FeaturizedSchema.Cast<TValue>(batch.CreateGetter(column, CurrentSlot), column))];
        return (ref TValue value) => getters[_current](ref value);
    }

    internal static Delegate GetterOf(DataViewRow row, FeaturizedSchema schema) => schema.SourceKind switch
    {
        ImageColumnKind.Path => row.GetGetter<ReadOnlyMemory<char>>(schema.Source),
        ImageColumnKind.Bytes => row.GetGetter<VBuffer<byte>>(schema.Source),
        _ => row.GetGetter<MLImage>(schema.Source),
    };

    protected override void Dispose(bool disposing)
    {
        if (disposing && !_ended)
        {
            End();
            _log.Dispose();
            _stop.Cancel();
            foreach (RowBatch batch in _batches)
                batch.Dispose();
            _stop.Dispose();
            _input.Dispose();
        }

        base.Dispose(disposing);
    }

    private void End()
    {
        _ended = true;
        (_count, _slot, _position) = (0, -1, -1);
    }

    /// <returns>False if there is no further row, or none because of a failure.</returns>
    private bool ReadBatch()
    {
        (_count, _slot) = (0, -1);
        if (_failure is not null)
            return false;
        try
        {
            bool isFirst = _last < 0;
            if (_ahead.Count == 0)
                Read();
            RowBatch batch = _batches[_current = _ahead.Dequeue()];
            while (!isFirst && _ahead.Count < _batches.Length - 1 && !_batches[_last].IsLast && batch.CanBegin)
                Read().Begin(_stop.Token);
            if (batch.Count > 0)
                _log.Add(batch.Compute());
            if (batch.IsLast)
                _failure = batch.Failure;
            return (_count = batch.Count) > 0;
        }
        catch (Exception exception) // thrown by MoveNext, now and whenever it is called again
        {
            _failure = ExceptionDispatchInfo.Capture(exception);
            return false;
        }
    }

    private RowBatch Read()
    {
        _last = (_last + 1) % _batches.Length;
        _ahead.Enqueue(_last);
        RowBatch batch = _batches[_last];
        batch.Read(_rowsRead, _batchSize);
        _rowsRead += batch.Count;
        return batch;
    }

    private int CurrentSlot() => _slot >= 0
        ? _slot
        : throw new InvalidOperationException("The cursor stands on no row: call MoveNext before reading values, and stop when it returns false.");
}
