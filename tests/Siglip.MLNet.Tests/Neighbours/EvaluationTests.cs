using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Trainers;
using Microsoft.ML.Transforms;
using static Siglip.MLNet.Tests.Neighbours.Neighbourhood;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests.Neighbours;

/// <summary>Splits, folds, metrics and importance: right numbers, and the number of images that they embed. Batches have one image here, so that forward passes
/// count images.</summary>
[TestClass]
public sealed class EvaluationTests
{
    private const int Folds = 3;

    private readonly MLContext _mlContext = new(seed: 1);

    private static int Count => ColoredImage.Train.Count;

    private IDataView Images => ColoredImage.View(_mlContext, ColoredImage.Train);

    [TestMethod]
    public void CrossValidate_embeds_in_every_fold_unless_the_embeddings_come_before_it()
    {
        var labels = _mlContext.Transforms.Conversion.MapValueToKey("Label", "Color", keyOrdinality: ValueToKeyMappingEstimator.KeyOrdinality.ByValue); // the same in each fold
        var whole = _mlContext.MulticlassClassification.CrossValidate(Images, labels.Append(Featurizer()).AppendCacheCheckpoint(_mlContext)
            .Append(NamedTrainer.Multiclass(new MLContext(seed: 1), "LbfgsMaximumEntropy")), Folds, seed: 6);
        Assert.AreEqual(Folds * Count, whole.Sum(result => FeaturizerOf(result.Model).ForwardPasses), "each fold trains and tests");

        using var embedded = labels.Append(Featurizer()).Fit(Images);
        var once = _mlContext.MulticlassClassification.CrossValidate(_mlContext.Data.Cache(embedded.Transform(Images)),
            NamedTrainer.Multiclass(new MLContext(seed: 1), "LbfgsMaximumEntropy"), Folds, seed: 6);

        for (int fold = 0; fold < Folds; fold++)
        {
            Assert.AreEqual(1, whole[fold].Metrics.MicroAccuracy);
            AreSame(Values(whole[fold].ScoredHoldOutSet, "Score"), Values(once[fold].ScoredHoldOutSet, "Score"));
        }

        Assert.AreEqual(Count, FeaturizerOf(embedded).ForwardPasses);
        Assert.AreEqual(Count, once.Sum(result => Values(result.ScoredHoldOutSet, "Score").Length));
        foreach (var result in whole)
            ((IDisposable)result.Model).Dispose();
    }

    [TestMethod]
    [DataRow("Binary")]
    [DataRow("Regression")]
    [DataRow("Clustering")]
    public void CrossValidate_of_other_tasks(string task)
    {
        using var model = _mlContext.Transforms.CopyColumns("Label", task == "Binary" ? "IsRed" : "Number").Append(Featurizer()).Fit(Images);
        IDataView embedded = _mlContext.Data.Cache(model.Transform(Images)), plain = Plain(_mlContext, embedded);
        double[] metrics = Run(embedded);

        Assert.HasCount(Folds, metrics);
        Assert.IsTrue(metrics.All(metric => metric > 0.9), string.Join(' ', metrics));
        Assert.AreEqual(Count, FeaturizerOf(model).ForwardPasses);
        CollectionAssert.AreEqual(Run(_mlContext.Data.Cache(plain)), metrics);

        double[] Run(IDataView data)
        {
            var mlContext = new MLContext(seed: 1);
            return task switch
            {
                "Binary" => [.. mlContext.BinaryClassification.CrossValidateNonCalibrated(data, NamedTrainer.Binary(mlContext, "FastTree"), Folds, seed: 6)
                    .Select(result => result.Metrics.Accuracy)],
                "Regression" => [.. mlContext.Regression.CrossValidate(data, NamedTrainer.Regression(mlContext, "FastTree"), Folds, seed: 6)
                    .Select(result => result.Metrics.RSquared)],
                _ => [.. mlContext.Clustering.CrossValidate(mlContext.Transforms.Conversion.MapValueToKey("Cluster", "Number").Fit(data).Transform(data),
                    mlContext.Clustering.Trainers.KMeans(new KMeansTrainer.Options { NumberOfClusters = 3, NumberOfThreads = 1 }), Folds, "Cluster", "Features", seed: 6)
                    .Select(result => result.Metrics.NormalizedMutualInformation)],
            };
        }
    }

    [TestMethod]
    public void TrainTestSplit_before_the_featurizer_embeds_each_image_once_and_after_it_all_images_for_each_part()
    {
        using var model = Featurizer().Fit(Images);
        DataOperationsCatalog.TrainTestData before = _mlContext.Data.TrainTestSplit(Images, 0.25, seed: 3);
        float[][] train = Values(model.Transform(before.TrainSet), "Features"), test = Values(model.Transform(before.TestSet), "Features");
        Assert.AreEqual(Count, model.ForwardPasses);
        Assert.IsGreaterThan(0, test.Length);
        AreSame([.. Expect(before.TrainSet)], train);
        AreSame([.. Expect(before.TestSet)], test);

        // A filter asks the step before it for every row.
        DataOperationsCatalog.TrainTestData after = _mlContext.Data.TrainTestSplit(model.Transform(Images), 0.25, seed: 3);
        AreSame(train, Values(after.TrainSet, "Features"));
        AreSame(test, Values(after.TestSet, "Features"));
        Assert.AreEqual(3 * Count, model.ForwardPasses);

        DataOperationsCatalog.TrainTestData cached = _mlContext.Data.TrainTestSplit(_mlContext.Data.Cache(model.Transform(Images)), 0.25, seed: 3);
        AreSame(train, Values(cached.TrainSet, "Features"));
        AreSame(test, Values(cached.TestSet, "Features"));
        Assert.AreEqual(4 * Count, model.ForwardPasses);

        static IEnumerable<float[]> Expect(IDataView images)
        {
            foreach (string path in images.GetColumn<string>("Path"))
                yield return Expected(SiglipOutputKind.MeanPatchEmbedding, [path])[0];
        }
    }

    [TestMethod]
    public void TrainTestSplit_by_a_key_keeps_groups_together()
    {
        using var model = Featurizer().Fit(Images);
        DataOperationsCatalog.TrainTestData split = _mlContext.Data.TrainTestSplit(_mlContext.Data.Cache(model.Transform(Images)), 0.3, samplingKeyColumnName: "Group", seed: 2);
        uint[] train = [.. split.TrainSet.GetColumn<uint>("Group").Distinct()], test = [.. split.TestSet.GetColumn<uint>("Group").Distinct()];

        Assert.IsEmpty(train.Intersect(test));
        Assert.AreEqual(Count / 6, train.Length + test.Length);
        Assert.AreEqual(Count, Values(split.TrainSet, "Features").Length + Values(split.TestSet, "Features").Length);
        Assert.AreEqual(Count, model.ForwardPasses);
    }

    [TestMethod]
    [DataRow("Multiclass")]
    [DataRow("Binary")]
    [DataRow("Regression")]
    [DataRow("Clustering")]
    [DataRow("Anomaly")]
    [DataRow("Ranking")]
    public void Evaluate_of_predictions_embeds_each_image_once_and_of_clusters_twice(string task)
    {
        var mlContext = new MLContext(seed: 1);
        IEstimator<ITransformer> labels = task is "Multiclass" or "Clustering"
            ? mlContext.Transforms.Conversion.MapValueToKey("Label", "Color")
            : task == "Anomaly" ? mlContext.Transforms.Expression("Label", "(number) => number > 0 ? 1f : 0f", "Number") // single, unlike others
            : mlContext.Transforms.CopyColumns("Label", task == "Binary" ? "IsRed" : "Number");
        IEstimator<ITransformer> trainer = task switch
        {
            "Multiclass" => NamedTrainer.Multiclass(mlContext, "LightGbm"),
            "Binary" => NamedTrainer.Binary(mlContext, "LbfgsLogisticRegression"),
            "Regression" => NamedTrainer.Regression(mlContext, "FastTree"),
            "Clustering" => mlContext.Clustering.Trainers.KMeans(new KMeansTrainer.Options { NumberOfClusters = 3, NumberOfThreads = 1 }),
            "Anomaly" => mlContext.AnomalyDetection.Trainers.RandomizedPca(rank: 3, seed: 1),
            _ => NamedTrainer.Ranking(mlContext, "FastTree"),
        };
        using var model = labels.Append(Featurizer()).AppendCacheCheckpoint(mlContext).Append(trainer).Fit(Images);
        long before = FeaturizerOf(model).ForwardPasses;
        Assert.AreEqual(Count, before);

        double[] metrics = Evaluate(model.Transform(Images));
        Assert.AreEqual(before + (task == "Clustering" ? 2 : 1) * Count, FeaturizerOf(model).ForwardPasses);
        CollectionAssert.AreEqual(Evaluate(Plain(mlContext, model.Transform(Images))), metrics);

        before = FeaturizerOf(model).ForwardPasses;
        string[] read = [.. ((string[])["Label", "PredictedLabel", "Score", "Probability", "Group", "Features"])
            .Where(name => model.GetOutputSchema(Images.Schema).GetColumnOrNull(name) is not null)];
        CollectionAssert.AreEqual(metrics, Evaluate(mlContext.Data.Cache(model.Transform(Images), read)));
        Assert.AreEqual(before + Count, FeaturizerOf(model).ForwardPasses);

        double[] Evaluate(IDataView predictions)
        {
            switch (task)
            {
                case "Multiclass":
                    MulticlassClassificationMetrics multiclass = mlContext.MulticlassClassification.Evaluate(predictions);
                    return [multiclass.MicroAccuracy, multiclass.MacroAccuracy, multiclass.LogLoss];
                case "Binary":
                    CalibratedBinaryClassificationMetrics binary = mlContext.BinaryClassification.Evaluate(predictions);
                    return [binary.Accuracy, binary.AreaUnderRocCurve, binary.LogLoss, binary.F1Score];
                case "Regression":
                    RegressionMetrics regression = mlContext.Regression.Evaluate(predictions);
                    return [regression.RSquared, regression.MeanSquaredError];
                case "Clustering":
                    ClusteringMetrics clustering = mlContext.Clustering.Evaluate(predictions, "Label", featureColumnName: "Features");
                    return [clustering.NormalizedMutualInformation, clustering.AverageDistance, clustering.DaviesBouldinIndex];
                case "Anomaly":
                    AnomalyDetectionMetrics anomaly = mlContext.AnomalyDetection.Evaluate(predictions);
                    return [anomaly.AreaUnderRocCurve, anomaly.DetectionRateAtFalsePositiveCount];
                default:
                    RankingMetrics ranking = mlContext.Ranking.Evaluate(predictions, rowGroupColumnName: "Group");
                    return [.. ranking.NormalizedDiscountedCumulativeGains];
            }
        }
    }

    [TestMethod]
    [DataRow("Multiclass")]
    [DataRow("Binary")]
    [DataRow("Regression")]
    public void PermutationFeatureImportance(string task)
    {
        // The last feature tells nothing: it is the same for all images of this model.
        var options = Options("Path", ("Embedding", SiglipOutputKind.MeanPatchEmbedding), ("PatchCount", SiglipOutputKind.PatchCount)) with { BatchSize = 1 };
        IEstimator<ITransformer> labels = task == "Multiclass"
            ? _mlContext.Transforms.Conversion.MapValueToKey("Label", "Color")
            : _mlContext.Transforms.CopyColumns("Label", task == "Binary" ? "IsRed" : "Number");
        using var model = labels.Append(_mlContext.Transforms.SiglipFeaturizeImage(options)).Append(_mlContext.Transforms.Concatenate("Features", "Embedding", "PatchCount")).Fit(Images);
        IDataView embedded = _mlContext.Data.Cache(model.Transform(Images));
        double[] importance = Importance(embedded);

        Assert.HasCount(Hidden + 1, importance);
        Assert.AreEqual(0, importance[^1], "the number of patches");
        Assert.IsLessThan(-0.02, importance.Min(), "without its best feature the model is worse");
        Assert.AreEqual(Count, FeaturizerOf(model).ForwardPasses);
        CollectionAssert.AreEqual(Importance(_mlContext.Data.Cache(Plain(_mlContext, model.Transform(Images)))), importance);

        double[] Importance(IDataView data)
        {
            var mlContext = new MLContext(seed: 1);
            switch (task)
            {
                case "Multiclass":
                    ITransformer multiclass = NamedTrainer.Multiclass(mlContext, "LbfgsMaximumEntropy").Fit(data);
                    return [.. mlContext.MulticlassClassification.PermutationFeatureImportance(
                        (ISingleFeaturePredictionTransformer<MaximumEntropyModelParameters>)multiclass, data, permutationCount: 2).Select(metrics => -metrics.LogLoss.Mean)];
                case "Binary":
                    ITransformer binary = mlContext.BinaryClassification.Trainers.AveragedPerceptron(numberOfIterations: 20).Fit(data);
                    return [.. mlContext.BinaryClassification.PermutationFeatureImportance(
                        (ISingleFeaturePredictionTransformer<LinearBinaryModelParameters>)binary, data, permutationCount: 2).Select(metrics => metrics.Accuracy.Mean)];
                default:
                    ITransformer regression = NamedTrainer.Regression(mlContext, "FastTree").Fit(data);
                    return [.. mlContext.Regression.PermutationFeatureImportance(
                        (ISingleFeaturePredictionTransformer<Microsoft.ML.Trainers.FastTree.FastTreeRegressionModelParameters>)regression, data, permutationCount: 2)
                        .Select(metrics => metrics.RSquared.Mean)];
            }
        }
    }

    [TestMethod]
    public void CalculateFeatureContribution_and_a_calibrator()
    {
        using var model = _mlContext.Transforms.CopyColumns("Label", "IsRed").Append(Featurizer()).Fit(Images);
        IDataView embedded = _mlContext.Data.Cache(model.Transform(Images), "Label", "Features");
        (float[][] contributions, float[][] probabilities) = Run(embedded);
        Assert.AreEqual(Count, FeaturizerOf(model).ForwardPasses);

        (float[][] plainContributions, float[][] plainProbabilities) = Run(_mlContext.Data.Cache(Plain(_mlContext, model.Transform(Images)), "Label", "Features"));
        AreSame(plainContributions, contributions);
        AreSame(plainProbabilities, probabilities);
        Assert.HasCount(Hidden, contributions[0]);
        for (int i = 0; i < Count; i++)
            Assert.AreEqual(ColoredImage.Train[i].IsRed, probabilities[i][0] > 0.5f);

        static (float[][] Contributions, float[][] Probabilities) Run(IDataView data)
        {
            var mlContext = new MLContext(seed: 1);
            var svm = mlContext.BinaryClassification.Trainers.LinearSvm(numberOfIterations: 20).Fit(data);
            IDataView scored = svm.Transform(data);
            IDataView explained = mlContext.Transforms.CalculateFeatureContribution(svm, normalize: false, numberOfPositiveContributions: Hidden,
                numberOfNegativeContributions: Hidden).Fit(scored).Transform(scored);
            IDataView calibrated = mlContext.BinaryClassification.Calibrators.Platt().Fit(scored).Transform(scored);
            return (Values(explained, "FeatureContributions"), Values(calibrated, "Probability"));
        }
    }

    private SiglipImageFeaturizingEstimator Featurizer() =>
        _mlContext.Transforms.SiglipFeaturizeImage(Options("Path", ("Features", SiglipOutputKind.MeanPatchEmbedding)) with { BatchSize = 1 });
}
