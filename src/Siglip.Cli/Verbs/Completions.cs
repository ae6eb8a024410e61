using System.CommandLine;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary>What a shell offers where a value has to be typed; words of a fixed set are offered by their options themselves.</summary>
internal static class Completions
{
    /// <summary>Adds them to all verbs, by the names of options and arguments.</summary>
    public static void AddTo(RootCommand root)
    {
        string[] known = [.. SiglipVariants.All.Select(variant => variant.HubId)];
        Dictionary<string, string[]> words = new()
        {
            ["--model"] = [SiglipCheckpoint.Nano, .. known],
            ["--config"] = known,
            ["--device"] = ["cpu", "cuda", "cuda:0", "cuda:all"],
            ["--shard"] = ["auto"],
            ["MODEL"] = [SiglipCheckpoint.Nano, .. known],
            ["ID"] = known,
        };
        foreach (Command verb in root.Subcommands)
        {
            // The name in the help is set, because the help would list the words otherwise.
            foreach (Option option in verb.Options.Where(option => words.ContainsKey(option.Name)))
            {
                option.HelpName ??= option.Name.TrimStart('-');
                option.CompletionSources.Add(words[option.Name]);
            }

            foreach (Argument argument in verb.Arguments.Where(argument => words.ContainsKey(argument.Name)))
            {
                argument.HelpName ??= argument.Name;
                argument.CompletionSources.Add(words[argument.Name]);
            }
        }
    }
}
