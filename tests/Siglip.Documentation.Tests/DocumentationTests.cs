namespace Siglip.Documentation.Tests;

/// <summary>What the documentation shows is a program, which runs and prints what it says. A program's folder holds <c>samples/</c>.</summary>
[TestClass]
[DoNotParallelize] // a program has the console and the current directory for itself
public sealed class DocumentationTests
{
    private static string Root { get; } = AppContext.BaseDirectory;

    public static IEnumerable<object[]> Pages =>
        from file in Directory.EnumerateFiles(Path.Combine(Root, "pages"), "*.md", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
        let name = Path.GetRelativePath(Path.Combine(Root, "pages"), file).Replace('\\', '/')
        where File.ReadAllText(file).Contains("```csharp", StringComparison.Ordinal)
        select new object[] { name };

    [TestMethod]
    [DynamicData(nameof(Pages))]
    public void The_programs_of_a_page_run_and_print_what_it_shows(string page)
    {
        string folder = Directory.CreateTempSubdirectory("siglip-documentation-").FullName;
        try
        {
            CopySamples(folder);
            SampleProgram.Run(MarkdownPage.Parse(page, File.ReadAllText(Path.Combine(Root, "pages", page))), folder);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void CopySamples(string folder)
    {
        foreach (string file in Directory.EnumerateFiles(Path.Combine(Root, "samples"), "*", SearchOption.AllDirectories))
        {
            string copy = Path.Combine(folder, Path.GetRelativePath(Root, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }
    }
}
