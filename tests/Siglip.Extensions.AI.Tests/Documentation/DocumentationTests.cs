using System.Text.RegularExpressions;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Siglip.Core;
using Siglip.Extensions.AI.Tests.VectorStores;

namespace Siglip.Extensions.AI.Tests.Documentation;

/// <summary>What docs/embedding-generator.md shows compiles, runs and prints what it says.</summary>
[TestClass]
public sealed partial class DocumentationTests : IDisposable
{
    private static readonly string Page = Text("embedding-generator.md");
    private readonly string _folder = Directory.GetCurrentDirectory();
    private readonly TextWriter _console = Console.Out;
    private readonly StringWriter _printed = new();

    public DocumentationTests()
    {
        Directory.SetCurrentDirectory(AppContext.BaseDirectory);
        Console.SetOut(_printed);
    }

    public void Dispose()
    {
        Directory.SetCurrentDirectory(_folder);
        Console.SetOut(_console);
        _printed.Dispose();
    }

    [TestMethod]
    public void Every_piece_of_CSharp_on_the_page_is_a_snippet_that_is_compiled()
    {
        string[] shown = [.. Block("csharp").Select(match => match.Groups[1].Value)];
        string[] snippets = [.. ((string[])[Text("Photo.cs"), Text("Snippets.cs")]).SelectMany(text => Snippet().Matches(text))
            .Select(match => match.Groups[2].Value.Replace("\n" + match.Groups[1].Value, "\n", StringComparison.Ordinal))];

        Assert.HasCount(5, snippets);
        CollectionAssert.AreEquivalent(snippets, shown);
    }

    [TestMethod]
    public async Task Files_become_embeddings()
    {
        await Snippets.Generate();
        Assert.AreEqual("20 embeddings of 128 values\n", _printed.ToString().ReplaceLineEndings("\n"));
    }

    [TestMethod]
    public async Task An_embedder_becomes_a_generator() => Assert.AreEqual(128, await Snippets.Embedder());

    [TestMethod]
    public async Task A_container_has_a_cached_generator()
    {
        await using ServiceProvider services = Snippets.Container();
        var generator = services.GetRequiredService<IEmbeddingGenerator<DataContent, Embedding<float>>>();

        Assert.IsNotNull(generator.GetService<DistributedCachingEmbeddingGenerator<DataContent, Embedding<float>>>());
        Assert.IsNotNull(generator.GetService<SiglipImageEmbedder>());
    }

    [TestMethod]
    public async Task A_vector_store_is_searched_by_image()
    {
        using var generator = new SiglipEmbeddingGenerator("nano");

        await Snippets.Search(new InMemoryStore(generator));

        Assert.AreEqual(Block("text").Single().Groups[1].Value + "\n", _printed.ToString().ReplaceLineEndings("\n"));
    }

    private static MatchCollection Block(string language) => Regex.Matches(Page, $"```{language}\n(.*?)\n```", RegexOptions.Singleline);

    private static string Text(string file) => File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Documentation", file)).ReplaceLineEndings("\n");

    [GeneratedRegex(@"begin-snippet: \w+\n( *)(.*?)\n *// end-snippet", RegexOptions.Singleline)]
    private static partial Regex Snippet();
}
