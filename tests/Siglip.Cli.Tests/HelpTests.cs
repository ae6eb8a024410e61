using System.CommandLine;
using System.Reflection;
using System.Text.RegularExpressions;

namespace Siglip.Cli.Tests;

/// <summary>What the command says about itself.</summary>
[TestClass]
public sealed class HelpTests
{
    /// <summary>The verbs, as the command's own help lists them.</summary>
    public static IEnumerable<object[]> Verbs => Names().Select(name => new object[] { name });

    [TestMethod]
    [DynamicData(nameof(Verbs))]
    public void A_verbs_help_has_examples_which_it_understands(string verb)
    {
        string help = Help(verb);

        string[] examples = [.. help[help.IndexOf("\nExamples:\n", StringComparison.Ordinal)..].Split('\n').Select(line => line.Trim()).Where(line => line.StartsWith("siglip ", StringComparison.Ordinal))];
        Assert.IsNotEmpty(examples);
        RootCommand root = Root();
        foreach (string example in examples)
        {
            ParseResult parsed = root.Parse(example.Split(' ')[1..], new ParserConfiguration { ResponseFileTokenReplacer = null });
            Assert.IsEmpty(parsed.Errors, $"{example}: {string.Join(' ', parsed.Errors.Select(error => error.Message))}");
            Assert.AreEqual(verb, parsed.CommandResult.Command.Name);
        }
    }

    [TestMethod]
    [DynamicData(nameof(Verbs))]
    public void Every_verb_takes_version_quiet_and_verbose(string verb)
    {
        using var folder = new TestFolder();

        Assert.MatchesRegex(@"^0\.\d+\.\d+\S*\n$", SiglipProcess.Run(folder.Path, verb, "--version").Succeeded().Output);
        string help = Help(verb);
        Assert.Contains("-q, --quiet ", help);
        Assert.Contains("-v, --verbose ", help);
        Assert.Contains("-?, -h, --help ", help);
    }

    [TestMethod]
    public void The_commands_own_help_and_version_need_no_verb()
    {
        using var folder = new TestFolder();

        string help = SiglipProcess.Run(folder.Path, "--help").Succeeded().Output;
        Assert.StartsWith("Description:\n  SigLIP image embeddings", help);
        Assert.Contains("\n  siglip [command] [options]\n", help);
        Assert.MatchesRegex(@"^0\.\d+\.\d+\S*\n$", SiglipProcess.Run(folder.Path, "--version").Succeeded().Output);
    }

    [TestMethod]
    [DataRow("siglip em", "embed")]
    [DataRow("siglip embed photos --output-k", "--output-kind")]
    [DataRow("siglip embed photos --output-kind p", "patches pooled")]
    [DataRow("siglip embed photos --precision b", "bfloat16")]
    [DataRow("siglip embed photos --image-backend ", "pillow torchvision")]
    [DataRow("siglip embed photos --model n", "nano")]
    [DataRow("siglip train photos --model google/siglip2-base-patch32", "google/siglip2-base-patch32-256")]
    [DataRow("siglip finetune photos --config google/siglip2-base-patch32", "google/siglip2-base-patch32-256")]
    [DataRow("siglip evaluate n", "nano")]
    [DataRow("siglip embed photos --device cuda:", "cuda:0 cuda:all")]
    public void A_shell_is_told_how_a_word_goes_on(string typed, string words)
    {
        using var folder = new TestFolder();

        string[] offered = SiglipProcess.Run(folder.Path, $"[suggest:{typed.Length}]", typed).Succeeded().Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

        CollectionAssert.IsSubsetOf(words.Split(' '), offered);
        string beginning = typed[(typed.LastIndexOf(' ') + 1)..];
        Assert.IsTrue(offered.All(word => word.Contains(beginning, StringComparison.OrdinalIgnoreCase)), string.Join(' ', offered));
    }

    [TestMethod]
    public void Words_that_are_offered_are_not_listed_in_the_help() => Assert.DoesNotContain("google/siglip-base-patch16-224|", Help("train"));

    /// <summary>The help of a verb.</summary>
    internal static string Help(string verb)
    {
        using var folder = new TestFolder();
        return SiglipProcess.Run(folder.Path, verb, "--help").Succeeded().Output.ReplaceLineEndings("\n");
    }

    /// <summary>The names of all verbs, in the order of the command's help.</summary>
    internal static string[] Names()
    {
        using var folder = new TestFolder();
        string help = SiglipProcess.Run(folder.Path, "--help").Succeeded().Output.ReplaceLineEndings("\n");
        return [.. Regex.Matches(help[help.IndexOf("\nCommands:\n", StringComparison.Ordinal)..], @"^  ([a-z-]+) ", RegexOptions.Multiline).Select(match => match.Groups[1].Value)];
    }

    private static RootCommand Root()
    {
        var root = new RootCommand();
        foreach (MethodInfo create in typeof(EmbedVerb).Assembly.GetTypes().Where(type => type.Name.EndsWith("Verb", StringComparison.Ordinal)).Select(type => type.GetMethod("Create")!))
            root.Add((Command)create.Invoke(null, null)!);
        CommonOptions.AddTo(root);
        return root;
    }
}
