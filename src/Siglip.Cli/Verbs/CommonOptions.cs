using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Numerics;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary>Options that several verbs share.</summary>
internal static class CommonOptions
{
    /// <summary>The option of all verbs that compute.</summary>
    public const string DeviceName = "--device";

    /// <summary>The option of all verbs that keeps them away from the hub.</summary>
    public static Option<bool> Offline { get; } = new("--offline")
    {
        Description = "Take models of the Hugging Face hub from the cache only.",
        Recursive = true,
    };

    private static Option<bool> Quiet { get; } = new("--quiet", "-q")
    {
        Description = "Say nothing but results, warnings and errors: no progress, no summary.",
        Recursive = true,
    };

    private static Option<bool> Verbose { get; } = new("--verbose", "-v")
    {
        Description = "Say what is loaded from where, and what computes.",
        Recursive = true,
    };

    /// <summary>Adds the options that all verbs have, and makes <c>--version</c> one of them.</summary>
    public static void AddTo(RootCommand root)
    {
        root.Options.Add(Offline);
        root.Options.Add(Quiet);
        root.Options.Add(Verbose);
        VersionOption version = root.Options.OfType<VersionOption>().Single();
        version.Recursive = true;
        version.Validators.Clear(); // of a verb with nothing after it, they find fault with the arguments that are missing
        foreach (Command verb in root.Subcommands)
        {
            verb.Validators.Add(result =>
            {
                if (result.GetValue(Quiet) && result.GetValue(Verbose))
                    result.AddError($"{Quiet.Name} and {Verbose.Name} are given; name one of them, not both.");
            });
        }
    }

    /// <summary>What <c>--quiet</c> and <c>--verbose</c> say.</summary>
    public static Verbosity VerbosityOf(ParseResult parsed) =>
        parsed.GetValue(Quiet) ? Verbosity.Quiet : parsed.GetValue(Verbose) ? Verbosity.Verbose : Verbosity.Normal;

    public static Option<string?> Revision() => new("--revision") { Description = "Of a model of the Hugging Face hub: a branch, a tag or a commit instead of main." };

    public static Option<string> Model() => new("--model")
    {
        Description = "The checkpoint: a folder with config.json, preprocessor_config.json and model.safetensors; a model of the Hugging Face hub by its id, such as "
            + "google/siglip2-base-patch16-224; or nano, the bundled model.",
        DefaultValueFactory = _ => "nano",
    };

    public static Option<string> Device() => new(DeviceName)
    {
        Description = "Where the model computes: cpu, cuda or cuda:N.",
        DefaultValueFactory = _ => "cpu",
    };

    public static Option<string> Devices()
    {
        Option<string> option = Device();
        option.Description = "Where the model computes: cpu, cuda, cuda:N, several of them separated by commas, or cuda:all, which share every batch.";
        return option;
    }

    public static Option<int> BatchSize()
    {
        var option = new Option<int>("--batch-size") { Description = "Images in one forward pass.", DefaultValueFactory = _ => 16 };
        return option.Within(1);
    }

    public static Option<string?> OutputKind()
    {
        var option = new Option<string?>("--output-kind") { Description = "The embedding: pooled (the default), mean or patches." };
        return option.OneOf("pooled", "mean", "patches");
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

    /// <summary>Takes whole numbers of a range; others are wrong usage.</summary>
    public static Option<int> Within(this Option<int> option, int least, int most = int.MaxValue) =>
        option.Accept(value => value >= least && value <= most, WholeNumber(least, most));

    /// <inheritdoc cref="Within(Option{int}, int, int)"/>
    public static Option<int?> Within(this Option<int?> option, int least, int most = int.MaxValue) =>
        option.Accept(value => value >= least && value <= most, WholeNumber(least, most));

    /// <summary>Takes the numbers that are good; others are wrong usage.</summary>
    /// <remarks>A parser, and no validator: what is no number is never asked for its value, which would be an exception.</remarks>
    public static Option<T> Accept<T>(this Option<T> option, Func<T, bool> isGood, string expected)
        where T : struct, INumber<T>
    {
        option.CustomParser = result => Number(result, option, isGood, expected) ?? default;
        return option;
    }

    /// <inheritdoc cref="Accept{T}(Option{T}, Func{T, bool}, string)"/>
    public static Option<T?> Accept<T>(this Option<T?> option, Func<T, bool> isGood, string expected)
        where T : struct, INumber<T>
    {
        option.CustomParser = result => Number(result, option, isGood, expected);
        return option;
    }

    /// <summary>Takes texts that are good; others are wrong usage.</summary>
    public static TOption Expect<TOption>(this TOption option, Func<string, bool> isGood, string expected)
        where TOption : Option
    {
        option.Validators.Add(result =>
        {
            if (result.Tokens.FirstOrDefault(token => token.Value.Length > 0 && !isGood(token.Value)) is { } bad)
                result.AddError($"{option.Name} is '{bad.Value}', expected {expected}.");
        });
        return option;
    }

    /// <summary>Takes one of some words; others are wrong usage.</summary>
    public static TOption OneOf<TOption>(this TOption option, params string[] words)
        where TOption : Option
    {
        option.HelpName = string.Join('|', words);
        option.CompletionSources.Add(words);
        return option.Expect(words.Contains, $"{string.Join(", ", words[..^1])} or {words[^1]}");
    }

    /// <summary>Takes the name of a precision; others are wrong usage.</summary>
    public static TOption Precision<TOption>(this TOption option, bool int8 = true)
        where TOption : Option
    {
        string[] names = [.. ((string[])["float32", "bfloat16", "float16", "int8"]).Where(name => int8 || name != "int8")];
        option.HelpName = string.Join('|', names);
        option.CompletionSources.Add(names);
        return option.Expect(
            text => PrecisionOf(text) is { } precision && (int8 || precision != SiglipPrecision.Int8),
            $"{string.Join(", ", names[..^1])} or {names[^1]} (or fp32, bf16, fp16)");
    }

    /// <summary>The precision of a name, whatever its case; null if there is none of that name.</summary>
    public static SiglipPrecision? PrecisionOf(string? name) => name?.ToLowerInvariant() switch
    {
        "float32" or "fp32" => SiglipPrecision.Float32,
        "bfloat16" or "bf16" => SiglipPrecision.BFloat16,
        "float16" or "fp16" => SiglipPrecision.Float16,
        "int8" => SiglipPrecision.Int8,
        _ => null,
    };

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

    /// <summary>The name of an embedding, which <see cref="EmbeddingOf"/> takes.</summary>
    public static string NameOf(SiglipEmbeddingOutputs output) => output switch
    {
        SiglipEmbeddingOutputs.PooledEmbedding => "pooled",
        SiglipEmbeddingOutputs.MeanPatchEmbedding => "mean",
        SiglipEmbeddingOutputs.PatchEmbeddings => "patches",
        _ => throw new ArgumentOutOfRangeException(nameof(output), output, "Expected one embedding."),
    };

    private static string WholeNumber(int least, int most) => string.Create(CultureInfo.InvariantCulture, $"a whole number from {least} to {most}");

    private static T? Number<T>(ArgumentResult result, Option option, Func<T, bool> isGood, string expected)
        where T : struct, INumber<T>
    {
        string text = string.Join(' ', result.Tokens.Select(token => token.Value));
        if (T.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out T value) && isGood(value))
            return value;
        result.AddError($"{option.Name} is '{text}', expected {expected}.");
        return null;
    }
}
