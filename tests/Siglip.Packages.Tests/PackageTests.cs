using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Siglip.Packages.Tests;

/// <summary>What <c>dotnet pack</c> makes is whole, and a fresh project needs nothing else.</summary>
[TestClass]
public sealed partial class PackageTests
{
    private static PackageFeed _feed = null!;

    [ClassInitialize]
    public static void Pack(TestContext context) => _feed = PackageFeed.Pack();

    [ClassCleanup]
    public static void Delete() => _feed.Dispose();

    [TestMethod]
    [DataRow("Siglip.Core")]
    [DataRow("Siglip.MLNet")]
    [DataRow("Siglip.Extensions.AI")]
    public void A_library_has_a_readme_an_icon_a_licence_documentation_and_symbols(string id)
    {
        using PackageFile package = _feed.Open(id), symbols = _feed.Open(id, ".snupkg");

        string[] contents = [.. package.Files.Where(file => !file.StartsWith("_rels/", StringComparison.Ordinal) && !file.StartsWith("package/", StringComparison.Ordinal)
            && file != "[Content_Types].xml")];
        CollectionAssert.AreEqual((string[])["README.md", $"{id}.nuspec", "icon.png", $"lib/net10.0/{id}.dll", $"lib/net10.0/{id}.xml"], contents);
        Assert.AreEqual("README.md", package.Element("readme")!.Value);
        Assert.AreEqual("icon.png", package.Element("icon")!.Value);
        Assert.AreEqual("MIT", package.Element("license")!.Value);
        Assert.AreEqual("expression", (string?)package.Element("license")!.Attribute("type"));
        Assert.AreEqual(Source.Version, package.Element("version")!.Value);
        Assert.Contains("SigLIP", package.Element("description")!.Value);
        Assert.IsGreaterThan(5, XDocument.Parse(System.Text.Encoding.UTF8.GetString(package.Read($"lib/net10.0/{id}.xml")).TrimStart('\uFEFF')).Descendants("summary").Count());
        CollectionAssert.AreEqual(File.ReadAllBytes(Source.PathOf("README.md")), package.Read("README.md"));
        Assert.Contains($"lib/net10.0/{id}.pdb", symbols.Files);
    }

    [TestMethod]
    public void The_libraries_leave_the_native_libraries_of_libtorch_to_the_application()
    {
        foreach (string id in PackageFeed.Libraries)
        {
            using PackageFile package = _feed.Open(id);
            string[] backends = [.. package.Dependencies.Keys.Where(name => name.StartsWith("libtorch", StringComparison.OrdinalIgnoreCase)
                || name.StartsWith("TorchSharp-", StringComparison.OrdinalIgnoreCase))];
            Assert.IsEmpty(backends, id);
        }

        using PackageFile core = _feed.Open("Siglip.Core");
        Assert.Contains("TorchSharp", core.Dependencies.Keys);
        Assert.DoesNotContain("Grpc.Tools", core.Dependencies.Keys);
    }

    [TestMethod]
    public void Versions_are_those_that_fit_together()
    {
        using PackageFile mlNet = _feed.Open("Siglip.MLNet"), extensions = _feed.Open("Siglip.Extensions.AI");

        Assert.AreEqual($"[{Source.Version}]", mlNet.Dependencies["Siglip.Core"], "it uses internal members of it");
        Assert.AreEqual(Source.Version, extensions.Dependencies["Siglip.Core"]);
        Assert.AreEqual("[5.0.1, 6.0.0)", mlNet.Dependencies["Microsoft.ML"], "it uses internal members of it");
        Assert.DoesNotContain("Mono.Cecil", mlNet.Dependencies.Keys);
    }

    [TestMethod]
    public void A_package_says_which_commit_it_is_of()
    {
        if (!Path.Exists(Source.PathOf(".git")))
            Assert.Inconclusive("This is no clone of the repository.");
        using PackageFile package = _feed.Open("Siglip.MLNet");

        Assert.AreEqual("git", (string?)package.Element("repository")!.Attribute("type"));
        Assert.AreEqual(CommandLine.Run(Source.Repository, "git", "rev-parse", "HEAD").Trim(), (string?)package.Element("repository")!.Attribute("commit"));
    }

    [TestMethod]
    public void Packing_again_gives_the_same_bytes()
    {
        string[] Hashes() => [.. PackageFeed.Libraries.SelectMany(id =>
        {
            using PackageFile package = _feed.Open(id);
            return package.Files.Select(file => $"{id}/{file} {package.Sha256(file)}").ToArray();
        })];
        string[] before = Hashes();

        _feed.PackAgain();

        CollectionAssert.AreEqual(before, Hashes());
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux)] // the README's lines are for a shell
    public void A_fresh_project_installs_the_packages_and_runs_the_READMEs_example()
    {
        string readme = File.ReadAllText(Source.PathOf("README.md")).ReplaceLineEndings("\n");
        string[] install = InstallCommands().Match(readme).Groups[1].Value.Split('\n');
        Assert.AreEqual("dotnet pack -c Release -o packages", install[0]); // done, and for the libraries only
        Assert.AreEqual($"dotnet add package libtorch-cpu-linux-x64 --version {Source.LibtorchVersion}", install[^1]);
        string machine = CommandLine.Run(_feed.Folder, "dotnet", "nuget", "locals", "global-packages", "--list").Split(' ', 2)[1].Trim();
        // What the machine has already is taken from there, but for these packages, which may be older ones of the same version; what is new does not stay.
        string others = Directory.CreateDirectory(Path.Combine(_feed.Folder, "others")).FullName;
        foreach (string package in Directory.GetDirectories(machine).Where(package => !Path.GetFileName(package).StartsWith("siglip.", StringComparison.Ordinal)))
            Directory.CreateSymbolicLink(Path.Combine(others, Path.GetFileName(package)), package);
        File.WriteAllText(Path.Combine(_feed.Folder, "NuGet.config"), $"""
            <configuration>
              <config>
                <add key="globalPackagesFolder" value="{Path.Combine(_feed.Folder, "installed")}" />
              </config>
              <fallbackPackageFolders>
                <add key="machine" value="{others}" />
              </fallbackPackageFolders>
            </configuration>
            """);

        CommandLine.Run(_feed.Clone, "bash", "-ec", string.Join('\n', install[1..]));
        string project = Path.Combine(_feed.Folder, "photos");
        File.WriteAllText(Path.Combine(project, "Program.cs"), Program(readme));
        foreach (string row in (string[])["Photo.cs", "Prediction.cs"])
            File.Copy(Source.PathOf($"samples/Pipeline/{row}"), Path.Combine(project, row));
        Directory.CreateDirectory(Path.Combine(project, "samples"));
        foreach (string images in (string[])["samples/cifar10", "samples/cifar10-new"])
            Directory.CreateSymbolicLink(Path.Combine(project, images), Source.PathOf(images));
        string[] lines = CommandLine.Run(project, "dotnet", "run", "--property:TreatWarningsAsErrors=true").TrimEnd().Split('\n');

        Assert.IsTrue(Directory.Exists(Path.Combine(_feed.Folder, "installed", "siglip.mlnet", Source.Version)), "the package was installed, and not another one");
        Assert.HasCount(5, lines, string.Join('\n', lines));
        foreach (string line in lines)
            Assert.MatchesRegex(Predicted(), line);
        Assert.IsGreaterThanOrEqualTo(3, lines.Count(line => line.EndsWith(": ship", StringComparison.Ordinal)), string.Join('\n', lines));
        Assert.IsTrue(File.Exists(Path.Combine(project, "photos.zip")));
    }

    // The two programs of the section, one after the other.
    private static string Program(string readme)
    {
        string[] blocks = [.. CSharpBlock().Matches(CSharpSection().Match(readme).Value).Select(match => match.Groups[1].Value)];
        Assert.HasCount(2, blocks);
        return $$"""
            using Microsoft.ML;
            using Pipeline;
            using Siglip.Core;
            using Siglip.MLNet;

            {
            {{blocks[0]}}
            }
            {
            {{blocks[1]}}
            }
            """;
    }

    [GeneratedRegex("(?<=\n)## Install\n.*?```\n(.*?)\n```", RegexOptions.Singleline)]
    private static partial Regex InstallCommands();

    [GeneratedRegex("(?<=\n)## The same in C#\n.*?(?=\n## )", RegexOptions.Singleline)]
    private static partial Regex CSharpSection();

    [GeneratedRegex("```csharp\n(.*?)\n```", RegexOptions.Singleline)]
    private static partial Regex CSharpBlock();

    [GeneratedRegex(@"^samples/cifar10-new/ship/\d+\.png: (airplane|automobile|bird|cat|deer|dog|frog|horse|ship|truck)$")]
    private static partial Regex Predicted();
}
