using System.CommandLine;
using System.Text.Json.Nodes;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary><c>siglip download</c>: a model of the Hugging Face hub into the cache.</summary>
internal static class DownloadVerb
{
    public static Command Create()
    {
        var model = new Argument<string>("ID") { Description = "The model's id on the hub, such as google/siglip2-base-patch16-224." };
        Option<string?> revision = CommonOptions.Revision();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("download", "Fetch a model of the Hugging Face hub into the cache, which Python uses, too.") { model, revision, json };
        GroupedHelp.Add(command, [],
            "# a model; what is in the cache already is not fetched again", "siglip download google/siglip2-base-patch16-224",
            "# its files for another program", "siglip download google/siglip2-base-patch16-224 --json");
        command.SetAction((parsed, cancellationToken) => Task.FromResult(
            Run(parsed.GetRequiredValue(model), parsed.GetValue(revision), parsed.GetValue(json), cancellationToken)));
        return command;
    }

    private static int Run(string id, string? revision, bool json, CancellationToken cancellationToken)
    {
        HubModel model = HubModel.Find(id, revision)
            ?? throw new ArgumentException($"'{id}' is no model of the Hugging Face hub, expected an id such as google/siglip2-base-patch16-224.");
        HuggingFaceSnapshot snapshot = NamedModel.Fetch(model, cancellationToken);
        (string Name, long Length)[] files = [.. snapshot.Files.Select(name => (name, LengthOf(Path.Combine(snapshot.Folder, name))))];
        if (json)
        {
            Results.WriteJson(new JsonObject
            {
                ["model"] = snapshot.Model,
                ["commit"] = snapshot.Commit,
                ["folder"] = snapshot.Folder,
                ["files"] = new JsonArray([.. files.Select(file => new JsonObject { ["name"] = file.Name, ["bytes"] = file.Length })]),
            });
            return CommandLineRunner.Success;
        }

        Console.WriteLine($"{snapshot.Model}, commit {snapshot.Commit}, is in");
        Console.WriteLine(snapshot.Folder);
        Results.WriteTable(["", ""], files.Select(file => (string[])[file.Name, CheckpointDescription.Size(file.Length)]));
        return CommandLineRunner.Success;
    }

    // Of a link, its target's.
    private static long LengthOf(string path)
    {
        using FileStream stream = File.OpenRead(path);
        return stream.Length;
    }
}
