using Siglip.Core.Tests;

namespace Siglip.Documentation.Tests;

/// <summary>What the documentation shows is a program, which runs at the top of the repository and prints what it says.</summary>
[TestClass]
[DoNotParallelize] // a program has the console and the current directory for itself
public sealed class DocumentationTests
{
    private static string PagesFolder { get; } = Path.Combine(AppContext.BaseDirectory, "pages");

    private static string Nano { get; } = Path.Combine(AppContext.BaseDirectory, "nano");

    private static string Repository { get; } = Path.Combine(AppContext.BaseDirectory, "repository");

    public static IEnumerable<object[]> Pages =>
        from file in Directory.EnumerateFiles(PagesFolder, "*.md", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
        let name = Path.GetRelativePath(PagesFolder, file).Replace('\\', '/')
        where File.ReadAllText(file).Contains("```csharp", StringComparison.Ordinal)
        select new object[] { name };

    [TestMethod]
    [DynamicData(nameof(Pages))]
    public void The_programs_of_a_page_run_and_print_what_it_shows(string page)
    {
        string folder = Directory.CreateTempSubdirectory("siglip-documentation-").FullName;
        try
        {
            CopyRepository(folder);
            PythonCache.Write(Path.Combine(folder, "hub"), "google/siglip2-base-patch16-224", new string('0', 40), PlayRepository.FilesOf(Nano)); // a small one under the name
            using var cache = new HubVariables(("HF_HUB_CACHE", Path.Combine(folder, "hub")));
            foreach (MarkdownPage program in MarkdownPage.Parse(page, File.ReadAllText(Path.Combine(PagesFolder, page))).Programs)
                SampleProgram.Run(program, folder);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void CopyRepository(string folder)
    {
        foreach (string file in Directory.EnumerateFiles(Repository, "*", SearchOption.AllDirectories))
        {
            string copy = Path.Combine(folder, Path.GetRelativePath(Repository, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }
    }
}
