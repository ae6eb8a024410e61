using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Scripting;
using Microsoft.CodeAnalysis.Scripting;

namespace Siglip.Notebooks.Tests;

/// <summary>Runs the C# of a notebook as its kernel does: cell by cell, each as a script that goes on where the one before it has ended.</summary>
internal static class NotebookRun
{
    /// <summary>The namespaces that a cell has without asking both in .NET Interactive and in a file-based app.</summary>
    private static readonly string[] Imports = ["System", "System.Collections.Generic", "System.Linq", "System.Threading.Tasks"];

    private static readonly MetadataReference[] References = [.. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!)
        .Split(Path.PathSeparator).Select(path => MetadataReference.CreateFromFile(path))];

    /// <summary>Runs all cells in a folder.</summary>
    /// <returns>The notebook with what its cells printed and displayed.</returns>
    /// <exception cref="AssertFailedException">A cell does not compile, or throws.</exception>
    public static async Task<Notebook> RunAsync(string name, Notebook notebook, string folder)
    {
        ScriptOptions options = ScriptOptions.Default.WithReferences(References).WithImports(Imports).WithLanguageVersion(LanguageVersion.CSharp14);
        using var kernel = new NotebookKernel();
        var cells = new List<NotebookCell>();
        ScriptState<object>? state = null;
        TextWriter console = Console.Out;
        string home = Environment.CurrentDirectory;
        try
        {
            Environment.CurrentDirectory = folder;
            Console.SetOut(kernel.Console);
            foreach (NotebookCell cell in notebook.Cells)
            {
                if (cell.IsCode && !cell.IsReferences) // the packages are the projects that these tests reference
                {
                    state = state is null
                        ? await CSharpScript.RunAsync<object>(cell.Source, options, kernel)
                        : await state.ContinueWithAsync<object>(cell.Source, options);
                }

                cells.Add(cell with { Outputs = kernel.TakeOutputs() });
            }
        }
        catch (Exception exception) when (exception is not AssertFailedException)
        {
            Assert.Fail($"{name}, cell {cells.Count + 1}: {exception}\n{notebook.Cells[cells.Count].Source}");
        }
        finally
        {
            Console.SetOut(console);
            Environment.CurrentDirectory = home;
        }

        return new Notebook(cells);
    }
}
