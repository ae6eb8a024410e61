namespace Siglip.MLNet.Tests;

[TestClass]
public sealed class ContractReportTests
{
    [TestMethod]
    public void A_promise_that_was_broken_stands_in_its_cell_and_counts_as_failed()
    {
        var report = new ContractReport();
        foreach (ContractCheck check in Enum.GetValues<ContractCheck>().Where(check => check != ContractCheck.Ids))
        {
            report.Record("fixed", "path", "PatchGrid", check, isKept: true);
            report.Record("fixed", "path", "PatchGrid", check, isKept: check != ContractCheck.Dispose);
        }

        Assert.AreEqual("""
            24 checks, 1 failed.

            | checkpoint | input | output | refusals | schema | loaded | saved again | row mapper | other schema | lockstep | subsets | positions | ids | getters | dispose | row count |
            |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
            | fixed | path | PatchGrid | 2 | 2 | 2 | 2 | 2 | 2 | 2 | 2 | 2 | did not run | 2 | **1 of 2** | 2 |

            """.ReplaceLineEndings("\n"), report.ToMarkdown());
    }
}
