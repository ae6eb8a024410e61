using System.Diagnostics;
using System.Text;
using System.Text.RegularExpressions;

namespace Siglip.Cli.Tests;

/// <summary>docs/command.md shows the help as it is.</summary>
[TestClass]
public sealed partial class CommandReferenceTests
{
    /// <summary>The variable that names a file to write the page to, as it should be. A relative path starts from the repository.</summary>
    private const string Variable = "SIGLIP_COMMAND_REFERENCE";

    [TestMethod]
    public void The_page_has_the_help_of_every_verb()
    {
        string page = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "readme", "command.md")).ReplaceLineEndings("\n");

        string current = Verbs().Replace(page, Section());

        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } file)
            File.WriteAllText(Path.Combine(Repository(), file), current);
        Assert.AreEqual(current, page, $"The help has changed. Write the page anew, as its last section says ({Variable}).");
    }

    [TestMethod]
    public void The_page_has_every_exit_code()
    {
        string page = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "readme", "command.md"));

        foreach (int code in (int[])[CommandLineRunner.Success, CommandLineRunner.UserError, CommandLineRunner.WrongUsage, CommandLineRunner.SomeFailed, CommandLineRunner.Cancelled])
            Assert.Contains($"\n| {code} | ", page);
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    [DataRow("siglip em", "embed")]
    [DataRow("siglip embed photos --output-kind me", "mean")]
    [DataRow("siglip embed photos --output fo", "")]
    public void The_completion_for_bash_completes(string typed, string expected)
    {
        string page = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "readme", "command.md")).ReplaceLineEndings("\n");
        string script = $$"""
            siglip() { dotnet '{{Path.Combine(AppContext.BaseDirectory, "siglip.dll")}}' "$@"; }
            {{BashBlock().Match(page).Groups[1].Value}}
            COMP_LINE='{{typed}}' COMP_POINT={{typed.Length}} COMP_WORDS=({{typed}}) COMP_CWORD={{typed.Count(character => character == ' ')}}
            _siglip
            echo "${COMPREPLY[*]}"
            """;
        using Process bash = Process.Start(new ProcessStartInfo("bash", ["-c", script]) { RedirectStandardOutput = true })!;
        Task<string> output = bash.StandardOutput.ReadToEndAsync();
        if (!output.Wait(TimeSpan.FromMinutes(5)))
        {
            bash.Kill(entireProcessTree: true);
            Assert.Fail("The completion did not end within 5 minutes.");
        }

        Assert.AreEqual(expected, output.Result.TrimEnd());
    }

    private static string Repository()
    {
        DirectoryInfo folder = new(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "Siglip.MLNet.sln")))
            folder = folder.Parent ?? throw new DirectoryNotFoundException($"No folder above {AppContext.BaseDirectory} holds Siglip.MLNet.sln.");
        return folder.FullName;
    }

    private static string Section()
    {
        var text = new StringBuilder("## Verbs\n\nWhat `--help` says after each verb.\n\n");
        foreach (string verb in HelpTests.Names())
            text.Append($"### siglip {verb}\n\n```\n{HelpTests.Help(verb).TrimEnd()}\n```\n\n");
        return text.ToString();
    }

    [GeneratedRegex("^## Verbs\n.*?(?=^## )", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex Verbs();

    [GeneratedRegex("```bash\n(.*?)\n```", RegexOptions.Singleline)]
    private static partial Regex BashBlock();
}
