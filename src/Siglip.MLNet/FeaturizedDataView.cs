using Microsoft.ML;
using Siglip.Core;
using Siglip.MLNet.Internals;

namespace Siglip.MLNet;

/// <summary>An input with columns added. Nothing is computed before a cursor moves.</summary>
internal sealed class FeaturizedDataView : IDataView
{
    private readonly SiglipImageFeaturizingTransformer _transformer;
    private readonly IDataView _input;
    private readonly FeaturizedSchema _schema;
    private int _computingCursors;

    /// <param name="transformer">Whose model computes.</param>
    /// <param name="input">The input.</param>
    /// <param name="schema">Made for the input.</param>
    public FeaturizedDataView(SiglipImageFeaturizingTransformer transformer, IDataView input, FeaturizedSchema schema) =>
        (_transformer, _input, _schema) = (transformer, input, schema);

    /// <summary>False: rows in another order would be other batches, and images decoded far ahead of their use.</summary>
    public bool CanShuffle => false;

    public DataViewSchema Schema => _schema.Output;

    public long? GetRowCount() => _input.GetRowCount();

    public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null)
    {
        bool[] active = _schema.ActiveColumns(columnsNeeded);
        DataViewRowCursor input = _input.GetRowCursor(_schema.Dependencies(active));
        try
        {
            return !_schema.NeedsImages(active)
                ? new PassThroughCursor(input, _schema, active)
                : new FeaturizedRowCursor(_transformer, input, _schema, active, new CursorLog(_transformer, _schema.ValueName, GetRowCount(), NoteComputation));
        }
        catch
        {
            input.Dispose();
            throw;
        }
    }

    /// <summary>One cursor: several would run several forward passes side by side, where one of a whole batch is as fast.</summary>
    public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null) =>
        [GetRowCursor(columnsNeeded, rand)];

    private void NoteComputation()
    {
        if (Interlocked.Increment(ref _computingCursors) == 2)
        {
            Environments.Warn(_transformer.Host,
                "The same images are embedded a second time. A trainer that reads its data in several passes embeds all images in each of them: "
                + "call AppendCacheCheckpoint(mlContext) after the SigLIP step, or Data.Cache on the transformed data; or, for all pipelines of the context, "
                + "mlContext.CacheSiglipEmbeddings().");
        }
    }
}
