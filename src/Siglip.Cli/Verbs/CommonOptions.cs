using System.CommandLine;
using System.Globalization;
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
        return option.Accept(value => value >= 1, "at least 1");
    }

    public static Option<string?> OutputKind()
    {
        var option = new Option<string?>("--output-kind") { Description = "The embedding: pooled (the default), mean or patches." };
        option.AcceptOnlyFromAmong("pooled", "mean", "patches");
        return option;
    }

    /// <summary>The number of the GPU that <see cref="Device"/> names; null for the CPU.</summary>
    /// <exception cref="ArgumentException">There is no such device.</exception>
    /// <exception cref="InvalidOperationException">CUDA is not available.</exception>
    public static int? GpuDeviceId(string device)
    {
        TorchSharp.torch.Device found = TorchDevice.Find(device);
        return found.type == TorchSharp.DeviceType.CUDA ? Math.Max(0, found.index) : null;
    }

    public static Option<bool> Json() => new("--json") { Description = "Write the result as JSON." };

    /// <summary>Refuses other values, which are wrong usage.</summary>
    public static Option<T> Accept<T>(this Option<T> option, Func<T, bool> isGood, string expected)
    {
        option.Validators.Add(result =>
        {
            if (result.Errors.Any() || result.GetValueOrDefault<T>() is not { } value || isGood(value))
                return;
            result.AddError(string.Create(CultureInfo.InvariantCulture, $"{option.Name} is {value}, expected {expected}."));
        });
        return option;
    }

    /// <summary>Refuses empty texts in all options and arguments.</summary>
    public static void RefuseEmpty(Command command)
    {
        foreach (Option option in command.Options)
        {
            option.Validators.Add(result =>
            {
                if (result.Tokens.Any(token => token.Value.Length == 0))
                    result.AddError($"{option.Name} is empty.");
            });
        }

        foreach (Argument argument in command.Arguments)
        {
            argument.Validators.Add(result =>
            {
                if (result.Tokens.Any(token => token.Value.Length == 0))
                    result.AddError($"{argument.Name} is empty.");
            });
        }
    }

    /// <summary>The embedding that <see cref="OutputKind"/> names; null if none was given.</summary>
    public static SiglipEmbeddingOutputs? EmbeddingOf(string? outputKind) => outputKind switch
    {
        "pooled" => SiglipEmbeddingOutputs.PooledEmbedding,
        "mean" => SiglipEmbeddingOutputs.MeanPatchEmbedding,
        "patches" => SiglipEmbeddingOutputs.PatchEmbeddings,
        _ => null,
    };
}
