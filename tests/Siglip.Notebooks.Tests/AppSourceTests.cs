namespace Siglip.Notebooks.Tests;

/// <summary>How an app becomes a notebook.</summary>
[TestClass]
public sealed class AppSourceTests
{
    [TestMethod]
    public void Cells_come_in_order_and_types_before_what_uses_them()
    {
        Notebook notebook = AppSource.ToNotebook("app.cs", """
            // %% [markdown]
            // # Title
            //
            // Text

            // %%
            #:project ../src/Siglip.MLNet/Siglip.MLNet.csproj
            #:property PublishAot=false

            // %%
            using System.Text;

            int x = 1;

            // %%
            Console.WriteLine(x);

            // %% [types]
            class One
            {
            }

            """);

        Assert.AreSequenceEqual(
            ["# Title\n\nText", "#r \"nuget: Siglip.MLNet, 0.1.0\"\n#r \"nuget: TorchSharp-cpu, 0.107.0\"", "using System.Text;\n\nint x = 1;", "class One\n{\n}", "Console.WriteLine(x);"],
            notebook.Cells.Select(cell => cell.Source));
        Assert.AreSequenceEqual([false, true, true, true, true], notebook.Cells.Select(cell => cell.IsCode));
    }

    [TestMethod]
    [DataRow("int x = 1;", "app.cs(1): expected a line that begins a cell")]
    [DataRow("// %%\nint x = 1;\n// %% title\n", "app.cs(3): expected '// %% [markdown]'")]
    [DataRow("// %% [types]\nclass One;\n// %%\nint x = 1;", "app.cs(1): expected '// %% [markdown]'")]
    [DataRow("// %% [markdown]\n// text\nint x = 1;", "app.cs(3): text in a cell of Markdown is a comment")]
    public void An_app_that_is_no_notebook_is_refused_with_the_line(string source, string message) =>
        Assert.StartsWith(message, Assert.ThrowsExactly<InvalidDataException>(() => AppSource.ToNotebook("app.cs", source)).Message);
}
