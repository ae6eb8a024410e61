using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Siglip.Cli;

/// <summary>The help of a verb with many options: a heading over each group of them.</summary>
internal sealed class GroupedHelp(HelpAction help, IReadOnlyList<OptionGroup> groups) : SynchronousCommandLineAction
{
    /// <summary>Adds the options of the groups to a command, and their headings to its help.</summary>
    public static void Add(Command command, IReadOnlyList<OptionGroup> groups)
    {
        foreach (Option option in groups.SelectMany(group => group.Options))
            command.Options.Add(option);
        command.Options.Add(new HelpOption { Action = new GroupedHelp(new HelpAction(), groups) });
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
            help.Invoke(parseResult);
        }
        finally
        {
            parseResult.InvocationConfiguration.Output = output;
        }

        Dictionary<string, string> headings = groups.ToDictionary(group => group.Options[0].Name, group => group.Heading);
        foreach (string line in text.ToString().TrimEnd().Split('\n'))
        {
            // A row starts with two spaces and the option's name; what is further in belongs to the row before.
            string name = line.StartsWith("  --", StringComparison.Ordinal) ? line[2..].Split(' ', 2)[0].TrimEnd() : "";
            if (headings.TryGetValue(name, out string? heading))
                output.WriteLine($"\n {heading}:");
            output.WriteLine(line.TrimEnd('\r'));
        }

        return CommandLineRunner.Success;
    }
}
