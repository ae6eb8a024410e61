using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;
using Siglip.MLNet.Internals;

namespace Siglip.MLNet;

/// <summary>One of the two columns of an image classifier, with the annotations of ML.NET's own multiclass classifiers.</summary>
/// <param name="name">The column's name.</param>
/// <param name="embedding">What is classified.</param>
/// <param name="classifier">Classifies it.</param>
/// <param name="labelValues">What the keys of the classes stand for; null if that is not known.</param>
internal abstract class ClassifierColumn(string name, SiglipEmbeddingOutputs embedding, LinearClassifier classifier, LabelValues? labelValues) : AddedColumn(name)
{
    public override SiglipEmbeddingOutputs Embeddings => embedding;

    public override string ValueName => "score";

    protected LinearClassifier Classifier => classifier;

    /// <summary>Which of the two columns this is, in ML.NET's words.</summary>
    protected abstract string ScoreValueKind { get; }

    /// <summary>The columns <c>PredictedLabel</c> and <c>Score</c>, in ML.NET's order.</summary>
    public static ClassifierColumn[] Both(
        string predictedLabel, string score, SiglipEmbeddingOutputs embedding, LinearClassifier classifier, LabelValues? labelValues) =>
        [new PredictedLabel(predictedLabel, embedding, classifier, labelValues), new Score(score, embedding, classifier, labelValues)];

    public override DataViewSchema.Annotations AnnotationsAfter(DataViewSchema input)
    {
        var annotations = new DataViewSchema.Annotations.Builder();
        if (labelValues is not null)
            AddLabels(annotations, labelValues);
        Scores.AddTo(annotations, input, ScoreValueKind);
        return annotations.ToAnnotations();
    }

    protected abstract void AddLabels(DataViewSchema.Annotations.Builder annotations, LabelValues values);

    /// <summary>The class probabilities of a row.</summary>
    /// <returns>False if the image is bad, and bad images are missing values.</returns>
    protected bool TryApply(ImageBatch images, int slot, Span<float> probabilities)
    {
        ReadOnlySpan<float> values = images.EmbeddingOf(slot, embedding);
        if (!values.IsEmpty)
            classifier.Apply(values, probabilities);
        return !values.IsEmpty;
    }

    private sealed class PredictedLabel(string name, SiglipEmbeddingOutputs embedding, LinearClassifier classifier, LabelValues? labelValues)
        : ClassifierColumn(name, embedding, classifier, labelValues)
    {
        public override DataViewType Type { get; } = new KeyDataViewType(typeof(uint), classifier.Classes);

        protected override string ScoreValueKind => Scores.PredictedLabel;

        /// <summary>The key of the highest score, the first of several; the missing key, 0, where there is no image.</summary>
        public override Delegate CreateGetter(ImageBatch images, Func<int> slot)
        {
            float[] probabilities = new float[Classifier.Classes];
            return (ValueGetter<uint>)((ref uint value) =>
                value = TryApply(images, slot(), probabilities) ? (uint)Array.IndexOf(probabilities, probabilities.Max()) + 1 : 0);
        }

        protected override void AddLabels(DataViewSchema.Annotations.Builder annotations, LabelValues values) => values.AddTo(annotations, Scores.KeyValues);
    }

    private sealed class Score(string name, SiglipEmbeddingOutputs embedding, LinearClassifier classifier, LabelValues? labelValues)
        : ClassifierColumn(name, embedding, classifier, labelValues)
    {
        public override DataViewType Type { get; } = new VectorDataViewType(NumberDataViewType.Single, classifier.Classes);

        protected override string ScoreValueKind => Scores.Score;

        public override Delegate CreateGetter(ImageBatch images, Func<int> slot) => (ValueGetter<VBuffer<float>>)((ref VBuffer<float> value) =>
        {
            VBufferEditor<float> editor = VBufferEditor.Create(ref value, Classifier.Classes);
            if (!TryApply(images, slot(), editor.Values))
                editor.Values.Fill(float.NaN);
            value = editor.Commit();
        });

        protected override void AddLabels(DataViewSchema.Annotations.Builder annotations, LabelValues values)
        {
            if (values.AreText)
                values.AddTo(annotations, Scores.SlotNames);
            values.AddTo(annotations, Scores.TrainingLabelValues);
        }
    }
}
