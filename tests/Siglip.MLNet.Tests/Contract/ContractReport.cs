using System.Globalization;
using System.Text;
using Siglip.Core.Tests;

namespace Siglip.MLNet.Tests;

/// <summary>The results of <see cref="EstimatorContract"/>, as a table: a row for each checkpoint, input and output, a column for each promise.</summary>
internal sealed class ContractReport
{
    private readonly Lock _gate = new();
    private readonly OrderedDictionary<(string Checkpoint, string Input, string Output), Dictionary<ContractCheck, Result>> _rows = [];

    /// <summary>What the tests of this process have checked.</summary>
    public static ContractReport OfThisRun { get; } = new();

    /// <summary>Records a check. All of the checks with the same key share a cell, such as those of several batch sizes.</summary>
    public void Record(string checkpoint, string input, string output, ContractCheck check, bool isKept)
    {
        lock (_gate)
        {
            if (!_rows.TryGetValue((checkpoint, input, output), out Dictionary<ContractCheck, Result>? row))
                _rows.Add((checkpoint, input, output), row = []);
            Result before = row.GetValueOrDefault(check);
            row[check] = new Result(before.Count + 1, before.Kept + (isKept ? 1 : 0));
        }
    }

    public string ToMarkdown()
    {
        lock (_gate)
        {
            ContractCheck[] checks = Enum.GetValues<ContractCheck>();
            Result[] results = [.. _rows.Values.SelectMany(row => row.Values)];
            var text = new StringBuilder();
            text.Append(CultureInfo.InvariantCulture, $"{results.Sum(result => result.Count):N0} checks, {results.Sum(result => result.Count - result.Kept):N0} failed.\n\n");
            text.Append(CultureInfo.InvariantCulture, $"| checkpoint | input | output | {string.Join(" | ", checks.Select(Title))} |\n");
            text.Append('|').Insert(text.Length, "---|", 3 + checks.Length).Append('\n');
            foreach (((string checkpoint, string input, string output), Dictionary<ContractCheck, Result> row) in _rows)
            {
                IEnumerable<string> cells = checks.Select(check => row.GetValueOrDefault(check).ToString());
                text.Append(CultureInfo.InvariantCulture, $"| {checkpoint} | {input} | {output} | {string.Join(" | ", cells)} |\n");
            }

            return text.ToString();
        }
    }

    public void WriteTable() => ReportFile.Write("SIGLIP_CONTRACT", () => Header, ToMarkdown(), keys: 3);

    private static string Header => $"""
        # The contract of an ML.NET estimator

        Made by the tests, in the folder of the repository:

        ```
        SIGLIP_CONTRACT=docs/contract.md dotnet test -c Release tests/Siglip.MLNet.Tests && cat docs/contract.md
        ```

        What ML.NET's own estimators keep, checked for `SiglipFeaturizeImage` with every kind of input and output, with batches of one row and with batches that do
        not divide the rows (disposing with the latter only), and for the model that `SiglipImageClassification` trains: a cell counts how often a promise was kept, and
        where it was not, of how many times.

        {string.Join('\n', Enum.GetValues<ContractCheck>().Select(check => $"- **{Title(check)}**: {Promise(check)}"))}


        """.ReplaceLineEndings("\n");

    private static string Title(ContractCheck check) => check switch
    {
        ContractCheck.Refusals => "refusals",
        ContractCheck.Schema => "schema",
        ContractCheck.Loaded => "loaded",
        ContractCheck.SavedAgain => "saved again",
        ContractCheck.RowMapper => "row mapper",
        ContractCheck.OtherSchema => "other schema",
        ContractCheck.Lockstep => "lockstep",
        ContractCheck.Subsets => "subsets",
        ContractCheck.Positions => "positions",
        ContractCheck.Ids => "ids",
        ContractCheck.Getters => "getters",
        ContractCheck.Dispose => "dispose",
        _ => "row count",
    };

    private static string Promise(ContractCheck check) => check switch
    {
        ContractCheck.Refusals => "a missing column and every wrong type are refused in `GetOutputSchema` and `Fit` of the estimator, and in `GetOutputSchema`, "
            + "`Transform` and `GetRowToRowMapper` of the fitted and of the loaded transformer, with the exception type of ML.NET's own step.",
        ContractCheck.Schema => "the schema that the estimator promises is the one that view, cursor, row and loaded model have; columns of the input keep their "
            + "annotations, and all stand in the order in which ML.NET's own steps leave them, hidden ones too.",
        ContractCheck.Loaded => "fit, save, load: the same bits in every column.",
        ContractCheck.SavedAgain => "a loaded model saves the same bytes.",
        ContractCheck.RowMapper => "the row mapper gives the cursor's rows, with batches of one row to the bit, needs the image column only, and has the cursor's "
            + "positions and ids.",
        ContractCheck.OtherSchema => "an input with further columns, in another order, gives the same.",
        ContractCheck.Lockstep => "four cursors, two of them from `GetRowCursorSet`, moved in turns, give the same rows and ids.",
        ContractCheck.Subsets => "every column alone, none, all, and all in reverse have the same values.",
        ContractCheck.Positions => "`Position` is -1, and getters throw, before the first row and after the last; a getter made before the first row is as good as one "
            + "made on a row.",
        ContractCheck.Ids => "rows keep the ids of the input.",
        ContractCheck.Getters => "a getter of a wrong type, of an inactive column or of none, and null, are refused with the exception type of ML.NET's own step.",
        ContractCheck.Dispose => "cursor, transformer and loaded transformer, disposed in each of the six orders, twice: the others go on, the disposed one says so.",
        _ => "the number of rows passes, known, unknown or none; fitting the featurizer on no rows is fitting.",
    };

    private readonly record struct Result(int Count, int Kept)
    {
        public override string ToString() => Count == 0 ? "did not run" : Kept == Count ? $"{Kept}" : $"**{Kept} of {Count}**";
    }
}
