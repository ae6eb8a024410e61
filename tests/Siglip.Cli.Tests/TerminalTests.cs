namespace Siglip.Cli.Tests;

/// <summary>What is different where a person looks on.</summary>
[TestClass]
[OSCondition(OperatingSystems.Linux)] // script and stty
public sealed class TerminalTests
{
    private static readonly (string Name, string? Value)[] Colours = [("TERM", "xterm-256color"), ("NO_COLOR", null)];

    [TestMethod]
    public void Headings_are_bold_and_progress_has_colours_unless_NO_COLOR_is_set()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 1);
        string[] arguments = ["predict", "nano", images], embed = ["embed", images, "--output", "e.npy"];

        Assert.Contains("\u001b[1m", SiglipProcess.RunInTerminal(200, Colours, folder.Path, arguments).Succeeded().Output);
        Assert.MatchesRegex("\u001b\\[[0-9;]*38;5;", SiglipProcess.RunInTerminal(200, Colours, folder.Path, embed).Succeeded().Output);
        foreach (string[] command in (string[][])[arguments, embed])
        {
            string plain = SiglipProcess.RunInTerminal(200, [.. Colours, ("NO_COLOR", "1")], folder.Path, command).Succeeded().Output;
            Assert.DoesNotMatchRegex(new System.Text.RegularExpressions.Regex("\u001b\\[[0-9;]*(3[0-9]|4[0-9]|9[0-9])[0-9;]*m"), plain);
        }
    }

    [TestMethod]
    [DataRow(200)]
    [DataRow(40)]
    public void A_path_is_never_broken(int columns)
    {
        using var folder = new TestFolder();
        string image = Directory.GetFiles(folder.WriteImages("a folder with a name that is longer than the terminal is wide", perClass: 1), "*", SearchOption.AllDirectories)[0];

        SiglipResult result = SiglipProcess.RunInTerminal(columns, Colours, folder.Path, "predict", "nano", image);

        Assert.Contains(image, result.Succeeded().Output);
    }
}
