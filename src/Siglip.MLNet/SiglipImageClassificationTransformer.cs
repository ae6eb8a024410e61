using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;
using Siglip.MLNet.Internals;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.MLNet;

/// <summary><see cref="ITransformer"/> that tells the classes of the images in a column. It results from fitting a
/// <see cref="SiglipImageClassificationTrainer"/>, or from loading a saved model.</summary>
/// <remarks>
/// <para>Nothing is computed before a cursor moves; then images go through the model in batches. Several views, engines and threads may
/// use one transformer at once. Input needs the image column only, no label.</para>
/// <para>It holds the trained model in native memory: dispose it, or the chain that it is part of. A loaded model is an <see cref="ITransformer"/>, which has no
/// <c>Dispose</c>: <c>(model as IDisposable)?.Dispose()</c>.</para>
/// <format type="text/markdown"><![CDATA[
/// A program that runs: [fine-tuning](~/docs/ml-net/fine-tuning.md).
/// ]]>
/// </format>
/// </remarks>
/// <seealso cref="SiglipCatalog.SiglipImageClassification(MulticlassClassificationCatalog.MulticlassClassificationTrainers, string, string, SiglipImageClassificationOptions?)"/>
public sealed class SiglipImageClassificationTransformer : ITransformer, IDisposable
{
    /// <param name="featurizer">The vision model and the settings; its one column is that of the scores, of the kind of embedding that is classified. Owned by
    /// the new transformer.</param>
    /// <param name="predictedLabelColumnName">The other column.</param>
    /// <param name="classifier">Classifies the embedding.</param>
    /// <param name="labelValues">What the keys of the classes stand for; null if that is not known.</param>
    internal SiglipImageClassificationTransformer(
        SiglipImageFeaturizingTransformer featurizer, string predictedLabelColumnName, LinearClassifier classifier, LabelValues? labelValues)
    {
        (Featurizer, PredictedLabelColumnName, Classifier, LabelValues) = (featurizer, predictedLabelColumnName, classifier, labelValues);
        Labels = LabelValues.NamesOf(labelValues, classifier.Classes);
    }

    /// <summary>The classes' names, in the order of the scores; the first one has the key 1.</summary>
    public IReadOnlyList<string> Labels { get; }

    internal SiglipImageFeaturizingTransformer Featurizer { get; }

    internal string PredictedLabelColumnName { get; }

    internal LinearClassifier Classifier { get; }

    internal LabelValues? LabelValues { get; }

    /// <summary>The embedding that is classified.</summary>
    internal SiglipEmbeddingOutputs Embedding => FeaturizedSchema.FlagOf(Featurizer.Settings.Columns[0].Value);

    bool ITransformer.IsRowToRowMapper => true;

    /// <summary>The columns of an input, followed by the predicted class and the classes' probabilities.</summary>
    /// <param name="inputSchema">The input's columns.</param>
    /// <returns>A schema in which an output column hides an input column of the same name.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The image column is missing or has a wrong type.</exception>
    /// <exception cref="ObjectDisposedException">This transformer is disposed.</exception>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema) => Bind(inputSchema).Output;

    /// <summary>Wraps an input; classes are computed when a cursor over the result moves.</summary>
    /// <param name="input">Data with the image column.</param>
    /// <returns>A view that computes anew in each pass over it; <c>mlContext.Data.Cache</c> keeps what has been read.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The image column is missing or has a wrong type.</exception>
    /// <exception cref="ObjectDisposedException">This transformer is disposed.</exception>
    public IDataView Transform(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        return new FeaturizedDataView(Featurizer, input, Bind(input.Schema));
    }

    /// <summary>Saves the trained model as a checkpoint that transformers, <see cref="SiglipForImageClassification"/> and <c>SiglipFeaturizeImage</c> read:
    /// config.json, preprocessor_config.json and model.safetensors; the files appear when all of them are complete.</summary>
    /// <param name="folder">Created if it does not exist; files of these names in it are replaced.</param>
    /// <exception cref="IOException">The folder cannot be written to, or has a processor_config.json of transformers 5, which would be read in place
    /// of the preprocessor_config.json.</exception>
    /// <exception cref="ObjectDisposedException">This transformer is disposed.</exception>
    public void SavePretrained(string folder)
    {
        Featurizer.CheckUndisposed();
        using var noGradients = no_grad();
        using DisposeScope scope = NewDisposeScope();
        SafetensorsPart[] parts =
        [
            .. Featurizer.Embedder.ToParts(Featurizer.SavedDtype),
            .. Classifier.ToTensors().Select(tensor => SafetensorsFile.ToPart(tensor.Name, tensor.Value, Featurizer.SavedDtype)),
        ];
        PretrainedFolder.Save(parts, SiglipForImageClassificationPretrained.ConfigOf((SiglipVisionConfig)Featurizer.Embedder.Config, Labels), folder,
            Featurizer.Embedder.ProcessorConfig, Featurizer.SavedDtype);
    }

    IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema) => new FeaturizedRowMapper(Featurizer, Bind(inputSchema));

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        Featurizer.CheckUndisposed();
        SavedClassifier.Save(ctx, this);
    }

    /// <summary>Frees the model: at once, or when the forward passes in flight on other threads have ended. Calling it again does nothing.</summary>
    public void Dispose() => Featurizer.Dispose();

    /// <summary>The same with another answer to bad images. It shares this transformer's model, and is not to be disposed.</summary>
    internal SiglipImageClassificationTransformer WithBadImages(BadImageHandling badImages) =>
        new(Featurizer.WithBadImages(badImages), PredictedLabelColumnName, Classifier, LabelValues);

    private FeaturizedSchema Bind(DataViewSchema inputSchema)
    {
        Featurizer.CheckUndisposed();
        return new FeaturizedSchema(inputSchema, Featurizer.Settings.InputColumnName, ClassifierColumn.Both(
            PredictedLabelColumnName, Featurizer.Settings.Columns[0].Key, Embedding, Classifier, LabelValues));
    }
}
