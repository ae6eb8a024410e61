using TorchSharp;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class ParityReportTests
{
    /// <summary>Prints the table of this run, and writes it to the file that SIGLIP_PARITY names, unless that has rows that did not run.</summary>
    [AssemblyCleanup]
    public static void WriteTable()
    {
        string table = ParityReport.OfThisRun.ToMarkdown();
        Console.WriteLine(table);
        ReportFile.Write("SIGLIP_PARITY", Header, table, keys: 2);

        static string Header()
        {
            TorchNative.Ensure();
            return ParityReport.Header;
        }
    }

    [TestMethod]
    public void The_largest_difference_of_an_output_stands_in_its_row_and_rows_in_a_fixed_order()
    {
        var report = new ParityReport();
        report.Check(ParityArea.Training, "b", "losses", 0, 1e-5);
        report.Check(ParityArea.Models, "b", "hidden_states", 1.26e-6, 2e-5);
        report.Check(ParityArea.Models, "b", "hidden_states", 3.14e-6, 2e-5);
        report.Check(ParityArea.Models, "b", "hidden_states", 0, 2e-5);
        report.Check(ParityArea.Models, "a", "told only", 255, null);

        Assert.AreEqual("""

            ## Models

            | case | output | largest difference | tolerance |
            |---|---|---|---|
            | a | told only | 255 | none |
            | b | hidden_states | 3.1e-6 | 2e-5 |

            ## Training

            | case | output | largest difference | tolerance |
            |---|---|---|---|
            | b | losses | 0 | 1e-5 |

            """.ReplaceLineEndings("\n"), report.ToMarkdown());
    }

    [TestMethod]
    public void Results_that_must_be_identical_are_counted_and_the_others_named()
    {
        var report = new ParityReport();
        report.CheckIdentical(ParityArea.Preprocessing, "image files", "a.png", "decoded pixels", 0);
        report.CheckIdentical(ParityArea.Preprocessing, "image files", "b.png", "decoded pixels", 0);
        Assert.Contains("\n| image files | decoded pixels | 0 (2 of 2 identical) | 0 |\n", report.ToMarkdown());

        Assert.ThrowsExactly<AssertFailedException>(() => report.CheckIdentical(ParityArea.Preprocessing, "image files", "c.png", "decoded pixels", 3));
        Assert.Contains("\n| image files | decoded pixels | 3 (2 of 3 identical) | 0 |\n", report.ToMarkdown());
        Assert.Contains("\n| c.png | decoded pixels | 3 | 0 |\n", report.ToMarkdown());
    }

    [TestMethod]
    [DataRow(1.01e-5)]
    [DataRow(double.NaN)]
    [DataRow(double.PositiveInfinity)]
    public void A_difference_beyond_its_tolerance_fails_and_stands_in_the_table(double difference)
    {
        var report = new ParityReport();

        Assert.ThrowsExactly<AssertFailedException>(() => report.Check(ParityArea.Models, "a", "pooler_output", difference, 1e-5));

        Assert.Contains(difference < 1 ? "| 1.0e-5 | 1e-5 |" : "| ∞ | 1e-5 |", report.ToMarkdown());
    }

    [TestMethod]
    public void A_part_of_the_comparisons_lacks_rows_of_all_of_them()
    {
        var whole = new ParityReport();
        whole.Check(ParityArea.Models, "a", "pooler_output", 1e-6, 1e-5);
        whole.Check(ParityArea.Models, "b", "pooler_output", 1e-6, 1e-5);
        var part = new ParityReport();
        part.Check(ParityArea.Models, "b", "pooler_output", 2e-6, 1e-5);

        CollectionAssert.AreEqual((string[])["a, pooler_output"], ReportFile.RowsMissing(part.ToMarkdown(), whole.ToMarkdown(), keys: 2).ToArray());
        Assert.IsEmpty(ReportFile.RowsMissing(whole.ToMarkdown(), part.ToMarkdown(), keys: 2));
    }
}
