using Microsoft.ML;
using Microsoft.ML.Data;

namespace Siglip.MLNet;

/// <summary>The input's cursor under the schema with embeddings, none of which is active: no image is read.</summary>
internal sealed class PassThroughCursor(DataViewRowCursor input, FeaturizedSchema schema, bool[] active) : DataViewRowCursor
{
    private bool _disposed;

    public override long Position => input.Position;

    public override long Batch => input.Batch;

    public override DataViewSchema Schema => schema.Output;

    public override bool MoveNext() => input.MoveNext();

    public override ValueGetter<DataViewRowId> GetIdGetter() => input.GetIdGetter();

    public override bool IsColumnActive(DataViewSchema.Column column)
    {
        schema.CheckIndex(column);
        return active[column.Index];
    }

    public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
    {
        schema.CheckColumn(column);
        return active[column.Index]
            ? input.GetGetter<TValue>(schema.InputAt(column.Index))
            : FeaturizedSchema.Cast<TValue>(null, column);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing && !_disposed)
        {
            _disposed = true;
            input.Dispose();
        }

        base.Dispose(disposing);
    }
}
