using Microsoft.ML;
using Microsoft.ML.Data;

namespace Siglip.MLNet;

/// <summary>One row at a time, for PredictionEngine; the same numbers as a cursor with batch size 1.</summary>
internal sealed class FeaturizedRowMapper(SiglipImageFeaturizingTransformer transformer, FeaturizedSchema schema) : IRowToRowMapper
{
    public DataViewSchema InputSchema => schema.Input;

    public DataViewSchema OutputSchema => schema.Output;

    public IEnumerable<DataViewSchema.Column> GetDependencies(IEnumerable<DataViewSchema.Column> dependingColumns) =>
        schema.Dependencies(schema.ActiveColumns(dependingColumns));

    public DataViewRow GetRow(DataViewRow input, IEnumerable<DataViewSchema.Column> activeColumns)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.Schema != InputSchema)
            throw new ArgumentException("The row's schema is not the one that this mapper is made for.", nameof(input));
        return new Row(transformer, input, schema, schema.ActiveColumns(activeColumns));
    }

    private sealed class Row : DataViewRow
    {
        private readonly DataViewRow _input;
        private readonly FeaturizedSchema _schema;
        private readonly bool[] _active;
        private readonly ImageBatch? _image;
        private long _computed = -1; // the position whose embeddings _image holds
        private bool _disposed;

        public Row(SiglipImageFeaturizingTransformer transformer, DataViewRow input, FeaturizedSchema schema, bool[] active)
        {
            (_input, _schema, _active) = (input, schema, active);
            if (schema.NeedsImages(active))
                _image = new ImageBatch(transformer, schema, FeaturizedRowCursor.GetterOf(input, schema), schema.ActiveEmbeddings(active));
        }

        public override long Position => _input.Position;

        public override long Batch => _input.Batch;

        public override DataViewSchema Schema => _schema.Output;

        public override ValueGetter<DataViewRowId> GetIdGetter() => _input.GetIdGetter();

        /// <summary>Whether it has values: all that the input has pass, asked for or not, as in ML.NET's own mappers.</summary>
        public override bool IsColumnActive(DataViewSchema.Column column)
        {
            _schema.CheckIndex(column);
            return _schema.IsAdded(column.Index) ? _active[column.Index] : _input.IsColumnActive(_schema.InputAt(column.Index));
        }

        public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
        {
            _schema.CheckColumn(column);
            Delegate? getter = null;
            if (IsColumnActive(column))
            {
                if (!_schema.IsAdded(column.Index))
                    return _input.GetGetter<TValue>(_schema.InputAt(column.Index));
                getter = _schema.AddedAt(column.Index).CreateGetter(_image!, ComputedSlot);
            }

            return FeaturizedSchema.Cast<TValue>(getter, column);
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing && !_disposed)
            {
                _disposed = true;
                _input.Dispose();
            }

            base.Dispose(disposing);
        }

        private int ComputedSlot()
        {
            if (_input.Position < 0)
                throw new InvalidOperationException("The row has no values yet.");
            if (_computed != _input.Position) // the first output asked for computes all of them
            {
                _computed = -1;
                _image!.Read(0, _input.Position);
                _image.Compute(1);
                _computed = _input.Position;
            }

            return 0;
        }
    }
}
