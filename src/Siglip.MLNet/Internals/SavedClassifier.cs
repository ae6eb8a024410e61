using System.Reflection;
using System.Runtime.ExceptionServices;
using System.Security.Cryptography;
using Microsoft.ML;
using Microsoft.ML.Runtime;
using Siglip.Core;
using Siglip.MLNet;
using Siglip.MLNet.Internals;
using TorchSharp;
using static TorchSharp.torch;

[assembly: LoadableClass(typeof(SiglipImageClassificationTransformer), typeof(SavedClassifier), null, typeof(SignatureLoadModel),
    "SigLIP image classification", SavedClassifier.LoaderSignature)]

namespace Siglip.MLNet.Internals;

/// <summary>How an image classifier stands in a saved model. ML.NET finds <see cref="Create"/> through the attribute above.</summary>
internal static class SavedClassifier
{
    public const string LoaderSignature = "SiglipImageClassifier"; // at most 24 characters

    private const string FeaturizerEntry = "Featurizer";
    private const string ClassifierEntry = "Classifier";

    public static void Save(ModelSaveContext ctx, SiglipImageClassificationTransformer transformer)
    {
        ArgumentNullException.ThrowIfNull(ctx);
        ctx.CheckAtModel();
        ctx.SetVersionInfo(Version());

        // *** Binary format ***
        // model "Featurizer": a saved SigLIP transformer; its one column is that of the scores, of the kind of embedding that is classified
        // string: column of the predicted class
        // int: number of classes
        // bool: whether the values that the classes' keys stand for follow; if so: they, as ML.NET's binary saver writes them
        // entry "Classifier": safetensors with classifier.weight [classes, hidden] and classifier.bias [classes]
        // string: SHA-256 of that
        ctx.SaveModel(transformer.Featurizer, FeaturizerEntry);
        ctx.SaveNonEmptyString(transformer.PredictedLabelColumnName);
        ctx.Writer.Write(transformer.Classifier.Classes);
        ctx.Writer.Write(transformer.LabelValues is not null);
        transformer.LabelValues?.Save(transformer.Featurizer.Host, ctx.Writer.BaseStream);
        byte[] classifier = ToSafetensors(transformer.Classifier);
        ctx.SaveBinaryStream(ClassifierEntry, writer => writer.Write(classifier));
        ctx.SaveNonEmptyString(Convert.ToHexStringLower(SHA256.HashData(classifier)));
    }

    /// <summary>Called by ML.NET, through reflection: its caller gets exceptions inside a TargetInvocationException.</summary>
    /// <exception cref="FormatException">The saved model is damaged or not ours.</exception>
    /// <exception cref="InvalidDataException">The weights are damaged.</exception>
    /// <exception cref="InvalidOperationException">The context asks for a GPU that is missing, and does not allow the CPU.</exception>
    public static SiglipImageClassificationTransformer Create(IHostEnvironment environment, ModelLoadContext ctx)
    {
        ArgumentNullException.ThrowIfNull(environment);
        ArgumentNullException.ThrowIfNull(ctx);
        SavedTransformer.CheckVersion(ctx, Version(), "classifier");
        ctx.CheckAtModel(Version());
        SiglipImageFeaturizingTransformer featurizer = LoadFeaturizer(environment, ctx);
        try
        {
            return Load(environment, ctx, featurizer);
        }
        catch
        {
            featurizer.Dispose();
            throw;
        }
    }

    private static SiglipImageClassificationTransformer Load(IHostEnvironment environment, ModelLoadContext ctx, SiglipImageFeaturizingTransformer featurizer)
    {
        if (featurizer.Settings.Columns is not [{ Value: SiglipOutputKind.PooledEmbedding or SiglipOutputKind.MeanPatchEmbedding, Key: var score }]
            || featurizer.Embedder.Config is not SiglipVisionConfig)
            throw Damaged("its vision model does not give the one embedding that is classified");
        string predictedLabel = ctx.LoadNonEmptyString();
        if (predictedLabel == score)
            throw Damaged($"its two columns have the same name, '{score}'");
        int classes = ctx.Reader.ReadInt32();
        if (classes is < 1 or > DataViewImages.MaxClasses)
            throw Damaged($"{classes} classes, from 1 to {DataViewImages.MaxClasses} are possible");
        LabelValues? values = SavedTransformer.LoadBoolean(ctx) ? LabelValues.Load(environment, ctx.Reader.BaseStream) : null;
        if (values is not null && values.Type.Size != classes)
            throw Damaged($"{values.Type.Size} values of labels for {classes} classes");
        return new SiglipImageClassificationTransformer(featurizer, predictedLabel, LoadClassifier(ctx, classes, featurizer.Embedder.Config.HiddenSize), values);
    }

    /// <summary>Raise verWrittenCur for any change of the format, verReadableCur if older readers must refuse it.</summary>
    /// <remarks>The assembly's simple name: with the full one, a newer version's models would fail in an application with an older version.</remarks>
    private static VersionInfo Version() => new(
        modelSignature: "SIGLIPIC", // exactly 8 characters
        verWrittenCur: 0x00010001,
        verReadableCur: 0x00010001,
        verWeCanReadBack: 0x00010001,
        loaderAssemblyName: typeof(SavedClassifier).Assembly.GetName().Name!,
        loaderSignature: LoaderSignature);

    private static SiglipImageFeaturizingTransformer LoadFeaturizer(IHostEnvironment environment, ModelLoadContext ctx)
    {
        try
        {
            ctx.LoadModel<ITransformer, SignatureLoadModel>(environment, out ITransformer model, FeaturizerEntry);
            if (model is SiglipImageFeaturizingTransformer featurizer)
                return featurizer;
            (model as IDisposable)?.Dispose();
            throw Damaged("its vision model is another kind of model");
        }
        catch (TargetInvocationException exception) when (exception.InnerException is { } inner)
        {
            ExceptionDispatchInfo.Throw(inner); // once is enough
            throw;
        }
    }

    private static LinearClassifier LoadClassifier(ModelLoadContext ctx, int classes, int hiddenSize)
    {
        LinearClassifier? classifier = null;
        string? sha256 = null;
        bool found = ctx.TryLoadBinaryStream(ClassifierEntry, reader =>
        {
            sha256 = Convert.ToHexStringLower(SHA256.HashData(reader.BaseStream));
            reader.BaseStream.Position = 0;
            using SafetensorsFile file = SafetensorsFile.Open(reader.BaseStream, "the saved classifier", leaveOpen: true);
            classifier = LinearClassifier.Read(file, classes, hiddenSize);
        });
        if (!found)
            throw Damaged($"there is no entry '{ClassifierEntry}'");
        string saved = ctx.LoadNonEmptyString();
        return string.Equals(sha256, saved, StringComparison.OrdinalIgnoreCase)
            ? classifier!
            : throw Damaged($"its classifier has SHA-256 {sha256}, and was saved with {saved}; copy the file again");
    }

    private static byte[] ToSafetensors(LinearClassifier classifier)
    {
        using DisposeScope scope = NewDisposeScope();
        using var stream = new MemoryStream();
        SafetensorsFile.Write(stream, classifier.ToTensors(), metadata: null);
        return stream.ToArray();
    }

    private static FormatException Damaged(string fault) => new($"The saved SigLIP classifier is damaged: {fault}.");
}
