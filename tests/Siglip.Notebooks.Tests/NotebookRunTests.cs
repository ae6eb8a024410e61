namespace Siglip.Notebooks.Tests;

/// <summary>What becomes of a cell's output, and of a cell that fails.</summary>
[TestClass]
[DoNotParallelize]
public sealed class NotebookRunTests
{
    [TestMethod]
    public async Task Text_and_displayed_content_keep_their_order_and_cells_their_variables()
    {
        Notebook ran = await Run("int x = 1;\nConsole.WriteLine(x);", "x++;", "Console.WriteLine(x); display(HTML(\"<b>b</b>\")); Console.Write(\"c\");");

        Assert.AreSequenceEqual([new NotebookOutput(null, "1\n")], ran.Cells[0].Outputs);
        Assert.IsEmpty(ran.Cells[1].Outputs);
        Assert.AreSequenceEqual([new NotebookOutput(null, "2\n"), new NotebookOutput("text/html", "<b>b</b>"), new NotebookOutput(null, "c")], ran.Cells[2].Outputs);
    }

    [TestMethod]
    public async Task A_notebook_is_read_as_it_was_written()
    {
        Notebook ran = await Run("Console.WriteLine(\"a\\n\");\ndisplay(HTML(\"<p>\\n\"));", "int x = 1;");
        Notebook read = Notebook.Parse(ran.ToJson());

        Assert.AreSequenceEqual(ran.Cells.Select(cell => cell.Source), read.Cells.Select(cell => cell.Source));
        Assert.AreSequenceEqual(ran.Cells.SelectMany(cell => cell.Outputs), read.Cells.SelectMany(cell => cell.Outputs));
    }

    [TestMethod]
    [DataRow("int x = y;", "CS0103")]
    [DataRow("throw new System.IO.IOException(\"gone\");", "gone")]
    public async Task A_cell_that_fails_is_named(string source, string message)
    {
        var exception = await Assert.ThrowsExactlyAsync<AssertFailedException>(() => Run("int a = 1;", source));

        Assert.Contains("name, cell 2: ", exception.Message);
        Assert.Contains(message, exception.Message);
    }

    private static Task<Notebook> Run(params string[] cells) =>
        NotebookRun.RunAsync("name", new Notebook([.. cells.Select(source => new NotebookCell(true, source, []))]), Path.GetTempPath());
}
