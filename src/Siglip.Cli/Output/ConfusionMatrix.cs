using System.Globalization;
using System.Text;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary>How often each class was taken for which.</summary>
internal static class ConfusionMatrix
{
    /// <summary>Writes it to standard output: a row for each actual class, a column for each predicted one.</summary>
    public static void WriteTable(SiglipEvaluation evaluation) =>
        Results.WriteTable(["actual \\ predicted", .. evaluation.Labels, "accuracy"], evaluation.Labels.Select((label, i) =>
            (string[])[label, .. evaluation.Confusion[i].Select(count => count.ToString(CultureInfo.InvariantCulture)), Percent(evaluation.AccuracyOf(i))]));

    /// <summary>Writes the classes of which the smallest share was recognized to standard output.</summary>
    public static void WriteWorst(SiglipEvaluation evaluation, int count) =>
        Results.WriteTable(["class", "accuracy", "images"], Enumerable.Range(0, evaluation.Labels.Count).Where(label => evaluation.Confusion[label].Sum() > 0)
            .OrderBy(evaluation.AccuracyOf).Take(count)
            .Select(label => (string[])[evaluation.Labels[label], Percent(evaluation.AccuracyOf(label)), evaluation.Confusion[label].Sum().ToString(CultureInfo.InvariantCulture)]));

    /// <summary>The same as CSV, with names in quotes where they need them; a class without images has no accuracy.</summary>
    public static string ToCsv(SiglipEvaluation evaluation)
    {
        var text = new StringBuilder();
        Row(["actual", .. evaluation.Labels, "accuracy"]);
        for (int label = 0; label < evaluation.Labels.Count; label++)
        {
            double accuracy = evaluation.AccuracyOf(label);
            Row([evaluation.Labels[label], .. evaluation.Confusion[label].Select(count => count.ToString(CultureInfo.InvariantCulture)),
                double.IsNaN(accuracy) ? "" : accuracy.ToString("R", CultureInfo.InvariantCulture)]);
        }

        return text.ToString();

        void Row(IEnumerable<string> cells) => text.AppendJoin(',', cells.Select(Quoted)).Append('\n');
    }

    private static string Percent(double share) => share.ToString("P1", CultureInfo.InvariantCulture);

    private static string Quoted(string cell) => cell.AsSpan().ContainsAny(",\"\r\n") ? $"\"{cell.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : cell;
}
