using Microsoft.ML;
using Microsoft.ML.Data;

namespace Siglip.MLNet.Tests;

/// <summary>An estimator, and what <see cref="EstimatorContract"/> has to know of it.</summary>
internal sealed record ContractSubject
{
    public required IEstimator<ITransformer> Estimator { get; init; }

    public required string InputColumn { get; init; }

    /// <summary>The columns that it adds, with their types.</summary>
    public required IReadOnlyDictionary<string, DataViewType> Outputs { get; init; }

    /// <summary>Good data. Some rows; columns with annotations, and a hidden one.</summary>
    public required IDataView Valid { get; init; }

    /// <summary>The same rows with more columns, in another order.</summary>
    public required IDataView Rearranged { get; init; }

    /// <summary>The same columns without rows.</summary>
    public required IDataView Empty { get; init; }

    /// <summary>Data whose input column is missing or wrong, and in what.</summary>
    public required IReadOnlyDictionary<string, IDataView> Invalid { get; init; }

    /// <summary>ML.NET's own step with the same input column, to compare errors with.</summary>
    public required IEstimator<ITransformer> Reference { get; init; }

    /// <summary>Good data for <see cref="Reference"/>.</summary>
    public required IDataView ReferenceInput { get; init; }

    /// <summary>How far the row mapper may be from the cursor: 0, the same bits, unless the cursor's batches have several rows.</summary>
    public required float MapperTolerance { get; init; }

    /// <summary>Whether the columns that it adds have annotations.</summary>
    public bool Annotates { get; init; }

    /// <summary>Whether there is nothing to learn, so that no rows are enough to fit on.</summary>
    public bool FitsOnNoRows { get; init; } = true;

    /// <summary>Whether the estimator's output schema is that of one step, so that its order can be compared.</summary>
    public bool IsOneStep { get; init; } = true;
}
