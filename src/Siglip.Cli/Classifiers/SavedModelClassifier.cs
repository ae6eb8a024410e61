using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Trainers;
using Siglip.Core;
using Siglip.MLNet;

namespace Siglip.Cli;

/// <summary>A saved ML.NET model that takes an image's path and gives a label: what <c>siglip train</c> writes, or a trained
/// <see cref="SiglipImageClassificationTransformer"/> with the label's text after it.</summary>
internal sealed class SavedModelClassifier : IImageClassifier
{
    public const string ImagePathColumn = "ImagePath";
    public const string EmbeddingColumn = "Embedding";
    public const string LabelColumn = "Label";
    public const string PredictedLabelColumn = "PredictedLabel";
    public const string ScoreColumn = "Score";

    private readonly MLContext _mlContext;
    private readonly ITransformer _model;

    private SavedModelClassifier(MLContext mlContext, ITransformer model, IReadOnlyList<string> labels) => (_mlContext, _model, Labels) = (mlContext, model, labels);

    /// <inheritdoc/>
    public IReadOnlyList<string> Labels { get; }

    /// <summary>Loads a model.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is no model, or one that does not take a path and give a label.</exception>
    public static SavedModelClassifier Load(string path, int? gpuDeviceId)
    {
        if (!File.Exists(path))
            throw new FileNotFoundException($"The model '{path}' does not exist; train one with: {CommandText.Of("train", "FOLDER", "--output", path)}");

        var mlContext = new MLContext { GpuDeviceId = gpuDeviceId, FallbackToCpu = false };
        ITransformer model;
        DataViewSchema inputSchema;
        try
        {
            model = mlContext.Model.Load(path, out inputSchema);
        }
        catch (TargetInvocationException e)
        {
            Exception inner = e; // ML.NET calls the loaders of steps within steps through reflection
            while (inner is TargetInvocationException { InnerException: { } next })
                inner = next;
            throw new InvalidDataException($"The model '{path}' cannot be loaded: {inner.Message}", inner);
        }
        catch (Exception e) when (e is FormatException or InvalidDataException or ArgumentException or IndexOutOfRangeException or EndOfStreamException
            or InvalidOperationException)
        {
            throw new InvalidDataException($"'{path}' is no model that can be loaded ({e.Message.TrimEnd('.')}); expected a file written by siglip train.", e);
        }

        try
        {
            string[] labels = FindLabels(path, model, inputSchema);
            CommandLineRunner.Detail($"model {path}: saved ML.NET model, {labels.Length} classes, computes on {(gpuDeviceId is { } gpu ? $"cuda:{gpu}" : "cpu")}");
            return new SavedModelClassifier(mlContext, model, labels);
        }
        catch
        {
            (model as IDisposable)?.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public IEnumerable<(string? Label, float[] Probabilities, string? Fault)> Classify(IReadOnlyList<string> paths)
    {
        IDataView images = _mlContext.Data.LoadFromEnumerable(paths.Select(path => new ImageRow { ImagePath = path }));
        IDataView predictions = Steps(_model).Aggregate(images, (view, step) => WithBadImagesMissing(step).Transform(view));
        DataViewSchema.Column label = predictions.Schema[PredictedLabelColumn], score = predictions.Schema[ScoreColumn];
        using DataViewRowCursor cursor = predictions.GetRowCursor([label, score]);
        ValueGetter<ReadOnlyMemory<char>> getLabel = cursor.GetGetter<ReadOnlyMemory<char>>(label);
        ValueGetter<VBuffer<float>> getScore = cursor.GetGetter<VBuffer<float>>(score);
        VBuffer<float> scores = default;
        ReadOnlyMemory<char> text = default;
        for (int i = 0; cursor.MoveNext(); i++)
        {
            getScore(ref scores);
            getLabel(ref text);
            float[] probabilities = scores.DenseValues().ToArray();
            yield return probabilities.Any(float.IsNaN) ? (null, probabilities, WhyMissing(paths[i])) : (text.ToString(), probabilities, null);
        }
    }

    /// <summary>Makes an explainer of the model and its classifier, if that is linear.</summary>
    /// <param name="path">What error messages call it.</param>
    /// <exception cref="InvalidDataException">The classifier is another one, or not on an embedding.</exception>
    public SiglipExplainer CreateExplainer(string path)
    {
        SiglipImageFeaturizingTransformer? featurizer = Steps(_model).Select(FeaturizerOf).FirstOrDefault(found => found is not null);
        if (featurizer is null || FindLinear(featurizer) is not { } classifier)
            throw new InvalidDataException($"The classifier in '{path}' cannot be explained: expected a linear one on SigLIP embeddings, as siglip train and fine-tuning in ML.NET make them.");

        // A model of its own: that of the saved pipeline is laid out for inference, without gradients. By way of a file, as it may be larger than an array.
        FileStream weights = CreatePrivateFile();
        try
        {
            SafetensorsFile.Write(weights, featurizer.Embedder.ToParts(featurizer.SavedDtype), metadata: null);
            weights.Position = 0;
        }
        catch
        {
            weights.Dispose();
            throw;
        }

        using SiglipCheckpoint checkpoint = SiglipCheckpoint.FromStreams(
            featurizer.Embedder.Config.ToJson(), featurizer.Embedder.ProcessorConfig.ToJson(), weights, $"'{path}'");
        SiglipImageEmbedderOptions options = featurizer.Settings.ToEmbedderOptions(featurizer.Device);
        return SiglipExplainer.Load(checkpoint, options.Precision == SiglipPrecision.Int8 ? options with { Precision = SiglipPrecision.Float32 } : options, classifier);
    }

    /// <summary>Creates a temporary file that only this user can read, and that is deleted when it is closed.</summary>
    internal static FileStream CreatePrivateFile()
    {
        var options = new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.ReadWrite,
            Share = FileShare.None,
            BufferSize = 1 << 16,
            Options = FileOptions.DeleteOnClose,
        };
        if (!OperatingSystem.IsWindows()) // there the folder is private
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        return new FileStream(Path.Combine(Path.GetTempPath(), Path.GetRandomFileName()), options);
    }

    // Null if there is none.
    private EmbeddingClassifier? FindLinear(SiglipImageFeaturizingTransformer featurizer)
    {
        foreach (ITransformer step in Steps(_model))
        {
            if (step is SiglipImageClassificationTransformer fineTuned)
                return new EmbeddingClassifier(Labels, fineTuned.Classifier.Weight, fineTuned.Classifier.Bias, fineTuned.Embedding);
            if (step is ISingleFeaturePredictionTransformer<object> { Model: LinearMulticlassModelParametersBase linear } trained)
            {
                SiglipOutputKind? kind = featurizer.Settings.Columns.Where(column => column.Key == trained.FeatureColumnName)
                    .Select(column => (SiglipOutputKind?)column.Value).FirstOrDefault();
                VBuffer<float>[] weights = [];
                linear.GetWeights(ref weights, out _);
                return kind is { } embedding && FeaturizedSchema.FlagOf(embedding) != SiglipEmbeddingOutputs.None
                    ? new EmbeddingClassifier(Labels, [.. weights.SelectMany(row => row.DenseValues())], [.. linear.GetBiases()], FeaturizedSchema.FlagOf(embedding))
                    : null;
            }
        }

        return null;
    }

    // Missing values do not say why: the image is embedded once more.
    private string WhyMissing(string path)
    {
        try
        {
            Steps(_model).Select(FeaturizerOf).FirstOrDefault(featurizer => featurizer is not null)?.Embedder.Embed(path);
            return $"'{path}' gave no probabilities; the model may be damaged.";
        }
        catch (Exception e) when (e is IOException or InvalidDataException or UnauthorizedAccessException)
        {
            return e.Message;
        }
    }

    private static ITransformer WithBadImagesMissing(ITransformer step) => step switch
    {
        SiglipImageFeaturizingTransformer featurizer => featurizer.WithBadImages(BadImageHandling.Missing),
        SiglipImageClassificationTransformer classifier => classifier.WithBadImages(BadImageHandling.Missing),
        _ => step,
    };

    private static SiglipImageFeaturizingTransformer? FeaturizerOf(ITransformer step) =>
        step as SiglipImageFeaturizingTransformer ?? (step as SiglipImageClassificationTransformer)?.Featurizer;

    private static IEnumerable<ITransformer> Steps(ITransformer model) => model is IEnumerable<ITransformer> chain ? chain : [model];

    public void Dispose() => (_model as IDisposable)?.Dispose();

    private static string[] FindLabels(string path, ITransformer model, DataViewSchema inputSchema)
    {
        if (inputSchema?.GetColumnOrNull(ImagePathColumn) is not { Type: TextDataViewType })
            throw new InvalidDataException($"'{path}' is an ML.NET model, but none that takes a text column '{ImagePathColumn}'; expected one written by siglip train.");

        DataViewSchema output = model.GetOutputSchema(inputSchema);
        if (output.GetColumnOrNull(PredictedLabelColumn) is not { Type: TextDataViewType }
            || output.GetColumnOrNull(ScoreColumn) is not { Type: VectorDataViewType { ItemType: NumberDataViewType } } score)
            throw new InvalidDataException($"'{path}' is an ML.NET model, but no classifier with the columns {PredictedLabelColumn} and {ScoreColumn}; "
                + "expected one written by siglip train.");

        VBuffer<ReadOnlyMemory<char>> names = default;
        score.Annotations.GetValue("SlotNames", ref names);
        return [.. names.DenseValues().Select(name => name.ToString())];
    }
}
