namespace Siglip.MLNet.Tests;

/// <summary>The promises of an ML.NET estimator: the columns of <see cref="ContractReport"/>, in its order.</summary>
internal enum ContractCheck
{
    Refusals,
    Schema,
    Loaded,
    SavedAgain,
    RowMapper,
    OtherSchema,
    Lockstep,
    Subsets,
    Positions,
    Ids,
    Getters,
    Dispose,
    RowCount,
}
