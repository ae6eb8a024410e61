using System.Runtime.ExceptionServices;
using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;

namespace Siglip.MLNet;

/// <summary>Reads a batch of rows ahead, embeds their images in one forward pass, and hands the rows out one by one.</summary>
internal sealed class FeaturizedRowCursor : DataViewRowCursor
{
    private readonly DataViewRowCursor _input;
    private readonly FeaturizedSchema _schema;
    private readonly bool[] _active;
    private readonly SiglipImageFeaturizingTransformer _transformer;
    private readonly CursorLog _log;
    private readonly int _batchSize;
    private readonly RowBuffer?[] _buffers; // one for each column; null unless it is active and of the input
    private readonly ImageBatch _images;
    private readonly ValueGetter<DataViewRowId> _idGetter;
    private DataViewRowId[] _ids = [];
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
        (_transformer, _input, _schema, _active, _log) = (transformer, input, schema, active, log);
        _batchSize = transformer.Settings.BatchSize;
        _idGetter = input.GetIdGetter();
        _buffers = [.. schema.Output.Select(column => active[column.Index] && !schema.IsAdded(column.Index)
            ? RowBuffer.Create(input, schema.InputAt(column.Index))
            : null)];

        // A source that is handed on as well is got from the input only once.
        Delegate source = _buffers[schema.SourceIndex]?.LastRead ?? GetterOf(input, schema);
        _images = new ImageBatch(transformer, schema, source, schema.ActiveEmbeddings(active));
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

    public override ValueGetter<DataViewRowId> GetIdGetter() => (ref DataViewRowId id) => id = _ids[CurrentSlot()];

    public override bool IsColumnActive(DataViewSchema.Column column)
    {
        _schema.CheckIndex(column);
        return _active[column.Index];
    }

    public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
    {
        _schema.CheckColumn(column);
        Delegate? getter = null;
        if (_active[column.Index])
        {
            getter = _schema.IsAdded(column.Index)
                ? _schema.AddedAt(column.Index).CreateGetter(_images, CurrentSlot)
                : _buffers[column.Index]!.CreateGetter(CurrentSlot);
        }

        return FeaturizedSchema.Cast<TValue>(getter, column);
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
            _input.Dispose();
            foreach (RowBuffer? buffer in _buffers)
                buffer?.Dispose();
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
            int count = ReadRows();
            if (count == 0)
                return false;
            _log.Add(_images.Compute(count));
            _count = count;
            return true;
        }
        catch (Exception exception) // thrown by MoveNext, now and whenever it is called again
        {
            _failure = ExceptionDispatchInfo.Capture(exception);
            return false;
        }
    }

    /// <summary>Reads rows for a batch; if the input fails, the rows before are good and the failure waits until they are handed out.</summary>
    private int ReadRows()
    {
        int count = 0;
        try
        {
            while (count < _batchSize && _input.MoveNext())
            {
                _transformer.CheckAlive();
                Slots.Ensure(ref _ids, count);
                _idGetter(ref _ids[count]);
                foreach (RowBuffer? buffer in _buffers)
                    buffer?.Read(count);
                _images.Read(count, _rowsRead++);
                count++;
            }
        }
        catch (Exception exception)
        {
            _failure = ExceptionDispatchInfo.Capture(exception);
        }

        return count;
    }

    private int CurrentSlot() => _slot >= 0
        ? _slot
        : throw new InvalidOperationException("The cursor stands on no row: call MoveNext before reading values, and stop when it returns false.");
}
