using Microsoft.ML;
using Microsoft.ML.Data;

namespace Siglip.MLNet.Internals;

/// <summary>What ML.NET's own multiclass classifiers say of their columns.</summary>
internal static class Scores
{
    public const string PredictedLabel = AnnotationUtils.Const.ScoreValueKind.PredictedLabel;
    public const string Score = AnnotationUtils.Const.ScoreValueKind.Score;
    public const string KeyValues = AnnotationUtils.Kinds.KeyValues;
    public const string SlotNames = AnnotationUtils.Kinds.SlotNames;
    public const string TrainingLabelValues = AnnotationUtils.Kinds.TrainingLabelValues;

    /// <summary>Adds the annotations that the columns of any score have; both of one step have the same set of columns.</summary>
    public static void AddTo(DataViewSchema.Annotations.Builder annotations, DataViewSchema input, string scoreValueKind)
    {
        uint set = input.GetMaxAnnotationKind(out _, AnnotationUtils.Kinds.ScoreColumnSetId) + 1;
        annotations.Add(AnnotationUtils.Kinds.ScoreColumnSetId, AnnotationUtils.ScoreColumnSetIdType, (ref uint value) => value = set);
        AddText(AnnotationUtils.Kinds.ScoreColumnKind, AnnotationUtils.Const.ScoreColumnKind.MulticlassClassification);
        AddText(AnnotationUtils.Kinds.ScoreValueKind, scoreValueKind);

        void AddText(string kind, string text) =>
            annotations.Add(kind, TextDataViewType.Instance, (ref ReadOnlyMemory<char> value) => value = text.AsMemory());
    }

    /// <summary>The two columns as an estimator promises them.</summary>
    public static IEnumerable<SchemaShape.Column> Shapes(string predictedLabel, string score, SchemaShape.Column label)
    {
        var keys = new SchemaShape(label.Annotations.Where(annotation => annotation.Name == KeyValues).Concat(AnnotationUtils.GetTrainerOutputAnnotation()));
        var slots = new SchemaShape(AnnotationUtils.AnnotationsForMulticlassScoreColumn(label));
        return
        [
            new(predictedLabel, SchemaShape.Column.VectorKind.Scalar, NumberDataViewType.UInt32, isKey: true, keys),
            new(score, SchemaShape.Column.VectorKind.Vector, NumberDataViewType.Single, isKey: false, slots),
        ];
    }
}
