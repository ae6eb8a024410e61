using System.CommandLine;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary>Options that several verbs share.</summary>
internal static class CommonOptions
{
    public static Option<string> Model() => new("--model")
    {
        Description = "The checkpoint: a folder with config.json, preprocessor_config.json and model.safetensors, or nano, the bundled model.",
        DefaultValueFactory = _ => "nano",
    };

    public static Option<string> Device() => new("--device")
    {
        Description = "Where the model computes: cpu, cuda or cuda:N.",
        DefaultValueFactory = _ => "cpu",
    };

    public static Option<int> BatchSize()
    {
        var option = new Option<int>("--batch-size") { Description = "Images in one forward pass.", DefaultValueFactory = _ => 16 };
        option.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() < 1)
                result.AddError("--batch-size must be at least 1.");
        });
        return option;
    }

    public static Option<string?> OutputKind()
    {
        var option = new Option<string?>("--output-kind") { Description = "The embedding: pooled (the default), mean or patches." };
        option.AcceptOnlyFromAmong("pooled", "mean", "patches");
        return option;
    }

    public static Option<bool> Json() => new("--json") { Description = "Write the result as JSON." };

    /// <summary>The embedding that <see cref="OutputKind"/> names; null if none was given.</summary>
    public static SiglipEmbeddingOutputs? EmbeddingOf(string? outputKind) => outputKind switch
    {
        "pooled" => SiglipEmbeddingOutputs.PooledEmbedding,
        "mean" => SiglipEmbeddingOutputs.MeanPatchEmbedding,
        "patches" => SiglipEmbeddingOutputs.PatchEmbeddings,
        _ => null,
    };
}
