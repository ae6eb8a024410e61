using System.CommandLine;
using System.Text.Json.Nodes;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary><c>siglip info</c>: what a checkpoint holds, and whether its weights fit its configuration.</summary>
internal static class InfoVerb
{
    public static Command Create()
    {
        var model = new Argument<string?>("MODEL")
        {
            Description = "The folder of a checkpoint, nano, or the id of a model of the Hugging Face hub; of a known one that is not in the cache the architecture is shown.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var variants = new Option<bool>("--variants") { Description = "List the known checkpoints of the Hugging Face hub; no MODEL then." };
        Option<string?> revision = CommonOptions.Revision();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("info", "Say what a checkpoint holds, and what of it is missing or unexpected.") { model, revision, variants, json };
        command.Validators.Add(result =>
        {
            if (result.GetValue(variants) == result.GetValue(model) is not null)
                result.AddError(result.GetValue(variants)
                    ? "MODEL and --variants are given; name one of them, not both."
                    : "One of MODEL and --variants is needed: what to show.");
        });
        GroupedHelp.Add(command, [],
            "# a checkpoint's architecture, sizes, preprocessing, files, and what is wrong with it", "siglip info models/siglip-base-patch16-224",
            "# the architectures that are known without a checkpoint", "siglip info --variants");
        command.SetAction((parsed, cancellationToken) =>
        {
            string? wanted = parsed.GetValue(revision);
            if (parsed.GetValue(model) is not { } name)
                ShowVariants(parsed.GetValue(json));
            else if (!Directory.Exists(name) && wanted is null && SiglipVariants.TryFind(name) is { } variant && new HuggingFaceHub().FindCached(HubModel.Find(name)!) is null)
                ShowVariant(variant, parsed.GetValue(json));
            else
                ShowCheckpoint(NamedModel.Fetch(name, wanted, cancellationToken), parsed.GetValue(json));
            return Task.FromResult(CommandLineRunner.Success);
        });
        return command;
    }

    private static void ShowVariants(bool json)
    {
        if (json)
        {
            Results.WriteJson(new JsonArray([.. SiglipVariants.All.Select(VariantJson)]));
            return;
        }

        Results.WriteTable(["checkpoint", "image", "patch", "hidden", "layers", "heads", "params", "pooled"], SiglipVariants.All.Select(variant => (string[])
        [
            variant.HubId, variant.Config is SiglipVisionConfig { ImageSize: var size } ? $"{size}" : "NaFlex", $"{variant.Config.PatchSize}",
            $"{variant.Config.HiddenSize}", $"{variant.Config.NumHiddenLayers}", $"{variant.Config.NumAttentionHeads}",
            ModelDescription.Rounded(variant.ParameterCount), $"[{variant.Config.HiddenSize}]",
        ]));
    }

    private static void ShowVariant(SiglipVariant variant, bool json)
    {
        if (json)
        {
            Results.WriteJson(VariantJson(variant));
            return;
        }

        Results.WriteTable(["", ""],
        [
            ["checkpoint", variant.HubId],
            ["weights", $"not here; to fetch them: {CommandText.Of("download", variant.HubId)}"],
            ["architecture", $"{variant.Config.Architecture}, {ModelDescription.Resolution(variant.Config)}"],
            .. ModelDescription.Sizes(variant.Config),
            ["parameters", ModelDescription.Invariant($"{variant.ParameterCount:N0} in the vision tower")],
            ["preprocessing", ModelDescription.Preprocessing(variant.ProcessorConfig)],
            ["embeddings", ModelDescription.Embeddings(variant.Config, variant.ProcessorConfig)],
        ]);
    }

    private static JsonObject VariantJson(SiglipVariant variant)
    {
        JsonObject json = ModelDescription.ToJson(variant.Config, variant.ProcessorConfig);
        json.Insert(0, "source", variant.HubId);
        json.Insert(1, "weights", null);
        return json;
    }

    private static void ShowCheckpoint(string model, bool json)
    {
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Inspect(model);
        CheckpointDescription description = CheckpointDescription.Of(checkpoint);
        if (json)
            Results.WriteJson(description.ToJson());
        else
            Results.WriteTable(["", ""], description.ToRows());
        if (description.Fault is { } fault)
            throw fault;
    }
}
