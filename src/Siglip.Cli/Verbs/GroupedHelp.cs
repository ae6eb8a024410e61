using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Text.RegularExpressions;

namespace Siglip.Cli;

/// <summary>The help of a verb: a heading over each group of its options, if it has groups, and examples at the end.</summary>
internal sealed partial class GroupedHelp(IReadOnlyList<OptionGroup> groups, IReadOnlyList<string> examples) : SynchronousCommandLineAction
{
    private const string General = "General";

    // Where there is no terminal to ask: narrow enough to be read, wide enough for most lines.
    private const int WidthOfFile = 120;

    /// <summary>Adds the options of the groups to a command, and their headings and the examples to its help.</summary>
    /// <param name="command">A verb.</param>
    /// <param name="groups">Its options; none if they are few and have been added.</param>
    /// <param name="examples">Command lines, which begin with <c>siglip</c>, each after a line that begins with # and says what it does.</param>
    public static void Add(Command command, IReadOnlyList<OptionGroup> groups, params string[] examples)
    {
        foreach (Option option in groups.SelectMany(group => group.Options))
            command.Options.Add(option);
        command.Options.Add(new HelpOption { Action = new GroupedHelp(groups, examples) });
    }

    /// <summary>Help is also for a command line that is not complete.</summary>
    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        TextWriter output = parseResult.InvocationConfiguration.Output;
        using var text = new StringWriter();
        parseResult.InvocationConfiguration.Output = text;
        try
        {
            var help = new HelpAction();
            if (Console.IsOutputRedirected)
                help.MaxWidth = WidthOfFile;
            help.Invoke(parseResult);
        }
        finally
        {
            parseResult.InvocationConfiguration.Output = output;
        }

        Dictionary<string, string> groupOf = groups.SelectMany(group => group.Options.Select(option => (option.Name, group.Heading))).ToDictionary();
        string? current = null;
        foreach (string line in text.ToString().TrimEnd().Split('\n'))
        {
            // A row begins with an option's names; what is further in belongs to the row before.
            if (groups.Count > 0 && OptionRow().Match(line) is { Success: true } row && groupOf.GetValueOrDefault(row.Groups[1].Value, General) is var heading && heading != current)
            {
                current = heading;
                output.WriteLine($"\n {heading}:");
            }

            output.WriteLine(line.TrimEnd());
        }

        if (examples.Count > 0)
            output.WriteLine($"\nExamples:\n  {string.Join("\n  ", examples)}");
        return CommandLineRunner.Success;
    }

    [GeneratedRegex(@"^  (?:-\S, )*(--[a-z0-9-]+)")]
    private static partial Regex OptionRow();
}
