using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Microsoft.ML;
using Microsoft.ML.Runtime;
using Siglip.Core;
using Siglip.MLNet;
using Siglip.MLNet.Internals;
using static TorchSharp.torch;

[assembly: IgnoresAccessChecksTo("Microsoft.ML.Core")]
[assembly: IgnoresAccessChecksTo("Microsoft.ML.Data")]
[assembly: LoadableClass(typeof(SiglipImageFeaturizingTransformer), typeof(SavedTransformer), null, typeof(SignatureLoadModel),
    "SigLIP image featurizing", SavedTransformer.LoaderSignature)]

namespace Siglip.MLNet.Internals;

/// <summary>How a transformer stands in a saved model. ML.NET finds <see cref="Create"/> through the attribute above.</summary>
internal static class SavedTransformer
{
    public const string LoaderSignature = "SiglipImageFeaturizing"; // at most 24 characters

    private const string WeightsEntry = "Weights";
    private const int MaxColumns = 1000;
    private const uint VersionWithSizes = 0x00010002; // precision, image backend, interpolation, image size, number of patches
    private const uint VersionWithHash = 0x00010003; // SHA-256 of embedded weights: what unpacks them does not notice a changed byte
    private const uint VersionWithFastDecode = 0x00010004;

    public static void Save(ModelSaveContext ctx, SiglipImageFeaturizingTransformer transformer)
    {
        ArgumentNullException.ThrowIfNull(ctx);
        FeaturizerSettings settings = transformer.Settings;
        ctx.CheckAtModel();
        ctx.SetVersionInfo(Version());

        // *** Binary format ***
        // string: input column
        // int: number of output columns; for each one string: name, int: kind
        // string: the checkpoint, of the Hugging Face hub as org/name@commit; with embedded weights only the last segment, for messages
        // string or null: image folder
        // int: batch size
        // bytes: handling of bad images, normalize, apply EXIF orientation, embed weights
        // since 1.0.2: bytes: precision, image backend, interpolate position embeddings; ints: image height, image width, most patches, each 0 where the
        //   checkpoint's holds
        // since 1.0.4: bytes: fast decode
        // string: config.json
        // string: preprocessor_config.json
        // if weights are embedded, entry "Weights": model.safetensors
        // string: SHA-256 of the weights; before 1.0.3 only if they are not embedded
        ctx.SaveNonEmptyString(settings.InputColumnName);
        ctx.Writer.Write(settings.Columns.Count);
        foreach ((string name, SiglipOutputKind kind) in settings.Columns)
        {
            ctx.SaveNonEmptyString(name);
            ctx.Writer.Write((int)kind);
        }

        ctx.SaveNonEmptyString(settings.EmbedWeights ? LastSegment(settings.Model) : settings.Model);
        ctx.SaveStringOrNull(settings.ImageFolder);
        ctx.Writer.Write(settings.BatchSize);
        ctx.Writer.Write((byte)settings.BadImages);
        ctx.Writer.Write(settings.Normalize);
        ctx.Writer.Write(settings.ApplyExifOrientation);
        ctx.Writer.Write(settings.EmbedWeights);
        ctx.Writer.Write((byte)settings.Precision);
        ctx.Writer.Write((byte)settings.ImageBackend);
        ctx.Writer.Write(settings.InterpolatePositionEncoding);
        ctx.Writer.Write(settings.ImageHeight ?? 0);
        ctx.Writer.Write(settings.ImageWidth ?? 0);
        ctx.Writer.Write(settings.MaxNumPatches ?? 0);
        ctx.Writer.Write(settings.FastDecode);
        ctx.SaveNonEmptyString(transformer.Embedder.Config.ToJson());
        ctx.SaveNonEmptyString(transformer.Embedder.ProcessorConfig.ToJson());
        string? sha256 = transformer.WeightsSha256;
        if (settings.EmbedWeights)
            ctx.SaveBinaryStream(WeightsEntry, writer => sha256 = SaveWeights(transformer, writer.BaseStream));
        ctx.SaveNonEmptyString(sha256!);
    }

    /// <summary>Called by ML.NET, through reflection: its caller gets exceptions inside a TargetInvocationException.</summary>
    /// <exception cref="FormatException">The saved model is damaged or not ours.</exception>
    /// <exception cref="InvalidDataException">The weights are damaged; or the checkpoint that it refers to is not the one it was saved with.</exception>
    /// <exception cref="FileNotFoundException">The checkpoint that it refers to is missing.</exception>
    /// <exception cref="InvalidOperationException">The context asks for a GPU that is missing, and does not allow the CPU.</exception>
    public static SiglipImageFeaturizingTransformer Create(IHostEnvironment environment, ModelLoadContext ctx)
    {
        ArgumentNullException.ThrowIfNull(environment);
        ArgumentNullException.ThrowIfNull(ctx);
        CheckVersion(ctx, Version(), "transformer");
        ctx.CheckAtModel(Version());
        FeaturizerSettings settings = LoadSettings(ctx);
        string config = ctx.LoadNonEmptyString();
        string processorConfig = ctx.LoadNonEmptyString();
        string device = ComputeDevice.From(environment).Resolve(environment.Register(nameof(SavedTransformer))); // before the weights are read
        try
        {
            return settings.EmbedWeights
                ? LoadWithWeights(environment, ctx, settings, device, config, processorConfig,
                    ctx.Header.ModelVerWritten >= VersionWithHash ? ctx.LoadNonEmptyString() : null)
                : LoadByReference(environment, settings, device, config, processorConfig, ctx.LoadNonEmptyString());
        }
        catch (ArgumentException exception) // settings, model and preprocessing that do not fit together
        {
            throw Damaged(Sentences.Of(exception).TrimEnd('.'), exception);
        }
    }

    /// <summary>Checks the format: ML.NET's own check says less, and calls our format ML.NET's.</summary>
    /// <exception cref="FormatException">This version of the library does not read it.</exception>
    public static void CheckVersion(ModelLoadContext ctx, VersionInfo ours, string what)
    {
        uint written = ctx.Header.ModelVerWritten;
        bool isNewer = ctx.Header.ModelVerReadable > ours.VerWrittenCur; // not what wrote it counts, but what is needed to read it
        if (ctx.Header.ModelSignature == ours.ModelSignature && (isNewer || written < ours.VerWeCanReadBack))
            throw new FormatException($"The saved SigLIP {what} has format {Text(written)}, and this version of Siglip.MLNet reads formats "
                + $"{Text(ours.VerWeCanReadBack)} to {Text(ours.VerWrittenCur)}. "
                + (isNewer ? "Update Siglip.MLNet." : "Save the model again with a version of Siglip.MLNet that reads both."));

        static string Text(uint version) => $"{version >> 16}.{(version >> 8) & 0xFF}.{version & 0xFF}";
    }

    /// <summary>Raise verWrittenCur for any change of the format, verReadableCur if older readers must refuse it.</summary>
    /// <remarks>The assembly's simple name: with the full one, a newer version's models would fail in an application with an older version.</remarks>
    private static VersionInfo Version() => new(
        modelSignature: "SIGLIPIF", // exactly 8 characters
        verWrittenCur: VersionWithFastDecode,
        verReadableCur: VersionWithFastDecode,
        verWeCanReadBack: 0x00010001,
        loaderAssemblyName: typeof(SavedTransformer).Assembly.GetName().Name!,
        loaderSignature: LoaderSignature);

    private static FeaturizerSettings LoadSettings(ModelLoadContext ctx)
    {
        string input = ctx.LoadNonEmptyString();
        int count = ctx.Reader.ReadInt32();
        if (count is < 1 or > MaxColumns)
            throw Damaged($"{count} output columns, from 1 to {MaxColumns} are possible");
        var columns = new KeyValuePair<string, SiglipOutputKind>[count];
        for (int i = 0; i < count; i++)
            columns[i] = new(ctx.LoadNonEmptyString(), (SiglipOutputKind)ctx.Reader.ReadInt32());

        var settings = new FeaturizerSettings
        {
            InputColumnName = input,
            Columns = columns,
            Model = ctx.LoadNonEmptyString(),
            ImageFolder = ctx.LoadStringOrNull(),
            BatchSize = ctx.Reader.ReadInt32(),
            BadImages = (BadImageHandling)ctx.Reader.ReadByte(),
            Normalize = LoadBoolean(ctx),
            ApplyExifOrientation = LoadBoolean(ctx),
            EmbedWeights = LoadBoolean(ctx),
        };
        if (ctx.Header.ModelVerWritten >= VersionWithSizes)
        {
            settings = settings with
            {
                Precision = (SiglipPrecision)ctx.Reader.ReadByte(),
                ImageBackend = (SiglipImageBackend)ctx.Reader.ReadByte(),
                InterpolatePositionEncoding = LoadBoolean(ctx),
                ImageHeight = LoadSide(ctx),
                ImageWidth = LoadSide(ctx),
                MaxNumPatches = LoadSide(ctx),
            };
        }

        if (ctx.Header.ModelVerWritten >= VersionWithFastDecode)
            settings = settings with { FastDecode = LoadBoolean(ctx) };

        try
        {
            settings.Validate();
        }
        catch (ArgumentException exception)
        {
            throw Damaged(Sentences.Of(exception).TrimEnd('.'), exception);
        }

        return settings;
    }

    public static bool LoadBoolean(ModelLoadContext ctx) => ctx.Reader.ReadByte() switch
    {
        0 => false,
        1 => true,
        byte other => throw Damaged($"{other} in place of true or false"),
    };

    // The range is checked with the checkpoint.
    private static int? LoadSide(ModelLoadContext ctx) => ctx.Reader.ReadInt32() is var side and not 0 ? side : null;

    private static SiglipImageFeaturizingTransformer LoadWithWeights(
        IHostEnvironment environment, ModelLoadContext ctx, FeaturizerSettings settings, string device, string config, string processorConfig, string? savedSha256)
    {
        SiglipImageFeaturizingTransformer? transformer = null;
        bool found = ctx.TryLoadBinaryStream(WeightsEntry, reader =>
        {
            using SiglipCheckpoint checkpoint = SiglipCheckpoint.FromStreams(config, processorConfig, reader.BaseStream, "the saved model");
            if (savedSha256 is not null && checkpoint.ComputeSha256() is var sha256 && !string.Equals(sha256, savedSha256, StringComparison.OrdinalIgnoreCase))
                throw Damaged($"its weights have SHA-256 {sha256}, and were saved with {savedSha256}; copy the file again");
            transformer = CheckpointLoading.Load(environment, settings, device, checkpoint, null, CancellationToken.None);
        });
        return found ? transformer! : throw Damaged($"there is no entry '{WeightsEntry}'");
    }

    private static SiglipImageFeaturizingTransformer LoadByReference(
        IHostEnvironment environment, FeaturizerSettings settings, string device, string config, string processorConfig, string savedSha256)
    {
        using SiglipCheckpoint checkpoint = OpenReferenced(settings.Model);
        CheckUnchanged(checkpoint.Source, "config.json", SiglipVisionConfigBase.FromJson(config, "the saved model, config.json").ToJson(),
            checkpoint.Config.ToJson());
        CheckUnchanged(checkpoint.Source, "preprocessor_config.json",
            SiglipImageProcessorConfigBase.FromJson(processorConfig, "the saved model, preprocessor_config.json", checkpoint.Config).ToJson(),
            PreprocessingOf(settings, checkpoint).ToJson());
        string sha256 = checkpoint.ComputeSha256();
        if (!string.Equals(sha256, savedSha256, StringComparison.OrdinalIgnoreCase))
            throw Changed($"The weights of '{checkpoint.Source}' have SHA-256 {sha256}, the model was saved with {savedSha256}");
        return CheckpointLoading.Load(environment, settings, device, checkpoint, sha256, CancellationToken.None);
    }

    private static SiglipCheckpoint OpenReferenced(string model)
    {
        try
        {
            if (!CheckpointName.IsLocal(model) && HubModel.Find(model) is not { IsPinned: true })
                throw new FileNotFoundException($"The model was saved without weights, with a reference to the checkpoint folder '{model}'"
                    + $"{(Path.IsPathRooted(model) ? "" : $", which is looked for in the current directory '{Directory.GetCurrentDirectory()}'")}; it does not exist. "
                    + "Put the checkpoint there, or save the model with EmbedWeights.", Path.GetFullPath(model));
            return SiglipCheckpoint.Open(model);
        }
        catch (ArgumentException exception) // the path is no folder's: the fault is there and not in the saved model
        {
            throw new InvalidDataException($"The model was saved without weights, with a reference to '{model}'. {Sentences.Of(exception)}", exception);
        }
    }

    private static SiglipImageProcessorConfigBase PreprocessingOf(FeaturizerSettings settings, SiglipCheckpoint checkpoint)
    {
        try
        {
            return CheckpointLoading.Preprocessing(settings, checkpoint);
        }
        catch (ArgumentException exception) // the saved settings fitted what the checkpoint was then
        {
            throw Changed($"The checkpoint '{checkpoint.Source}' does not fit the saved model: {Sentences.Of(exception).TrimEnd('.')}");
        }
    }

    private static void CheckUnchanged(string folder, string file, string saved, string found)
    {
        JsonObject before = JsonNode.Parse(saved)!.AsObject(), now = JsonNode.Parse(found)!.AsObject();
        string[] changes = [.. before.Where(field => !JsonNode.DeepEquals(field.Value, now[field.Key]))
            .Select(field => $"{field.Key} is {now[field.Key]?.ToJsonString()} and was {field.Value?.ToJsonString()}")];
        if (changes.Length > 0)
            throw Changed($"The {file} of '{folder}' is not the one that the model was saved with: {string.Join(", ", changes)}");
    }

    private static InvalidDataException Changed(string change) =>
        new($"{change}. Put the checkpoint back that it was saved with, or save the model with EmbedWeights.");

    private static string LastSegment(string model)
    {
        string name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(model)));
        return name.Length > 0 ? name : "model";
    }

    /// <summary>From the model in memory, which needs neither the checkpoint's files nor the zip that it was loaded from.</summary>
    /// <returns>SHA-256 of what was written.</returns>
    private static string SaveWeights(SiglipImageFeaturizingTransformer transformer, Stream stream)
    {
        using var sha256 = SHA256.Create();
        using var hashing = new CryptoStream(stream, sha256, CryptoStreamMode.Write, leaveOpen: true);
        SafetensorsFile.Write(hashing, transformer.Embedder.ToParts(transformer.SavedDtype), metadata: null);
        hashing.FlushFinalBlock();
        return Convert.ToHexStringLower(sha256.Hash!);
    }

    private static FormatException Damaged(string fault, Exception? inner = null) =>
        new($"The saved SigLIP transformer is damaged: {fault}.", inner);
}
