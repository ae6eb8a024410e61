namespace Siglip.Notebooks.Tests;

/// <summary>The notebooks are the apps, cell by cell, and print and display what is stored in them.</summary>
[TestClass]
[DoNotParallelize] // a notebook has the console and the current directory for itself
public sealed class NotebookTests
{
    private const int LargestFile = 300_000;

    public static IEnumerable<object[]> Names => RepositoryFolder.Names;

    [TestMethod]
    public void There_are_five() => Assert.HasCount(5, Names);

    [TestMethod]
    [DynamicData(nameof(Names))]
    public async Task Every_cell_runs_and_gives_outputs_of_the_kind_that_is_stored(string name)
    {
        Notebook source = AppSource.ToNotebook($"{name}.cs", await File.ReadAllTextAsync(RepositoryFolder.App(name)));
        Notebook ran = await NotebookRun.RunAsync(name, source, RepositoryFolder.Notebooks);

        if (Environment.GetEnvironmentVariable("SIGLIP_NOTEBOOKS") is "write")
            await File.WriteAllTextAsync(RepositoryFolder.Notebook(name), ran.ToJson());
        Notebook stored = Notebook.Parse(await File.ReadAllTextAsync(RepositoryFolder.Notebook(name)));
        Assert.HasCount(ran.Cells.Count, stored.Cells);
        foreach ((int i, NotebookCell cell) in ran.Cells.Index())
            Assert.IsNull(OutputComparison.Difference(stored.Cells[i].Outputs, cell.Outputs), $"{name}, cell {i + 1}:\n{cell.Source}\n");
    }

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void A_notebook_is_its_app_with_outputs(string name)
    {
        Notebook source = AppSource.ToNotebook($"{name}.cs", File.ReadAllText(RepositoryFolder.App(name)));
        string json = File.ReadAllText(RepositoryFolder.Notebook(name));
        Notebook stored = Notebook.Parse(json);

        Assert.AreEqual(string.Join("\n\n", source.Cells.Select(cell => cell.Source)), string.Join("\n\n", stored.Cells.Select(cell => cell.Source)),
            "Change the app, then write the notebook anew: notebooks/README.md says how.");
        Assert.AreEqual(stored.ToJson(), json, "The notebook has another format than the tests write: write it anew.");
        Assert.IsNotEmpty(stored.Cells.SelectMany(cell => cell.Outputs).Where(output => output.MimeType == "text/html"));
        Assert.IsLessThan(LargestFile, json.Length);
    }
}
