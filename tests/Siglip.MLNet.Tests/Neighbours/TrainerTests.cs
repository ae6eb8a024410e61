using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Trainers;
using static Siglip.MLNet.Tests.Neighbours.Neighbourhood;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests.Neighbours;

/// <summary>Trainers behind the featurizer: they learn an easy task, embed each image once, save and load, and learn what they learn from a file of the same
/// embeddings, to the bit.</summary>
[TestClass]
public sealed class TrainerTests
{
    private readonly MLContext _mlContext = new(seed: 1);

    [TestMethod]
    [DataRow("SdcaMaximumEntropy")]
    [DataRow("SdcaNonCalibrated")]
    [DataRow("LbfgsMaximumEntropy")]
    [DataRow("LbfgsMaximumEntropy", SiglipOutputKind.PooledEmbedding, true)]
    [DataRow("LbfgsMaximumEntropy", SiglipOutputKind.PatchEmbeddings)] // a column of two dimensions
    [DataRow("LbfgsMaximumEntropy", SiglipOutputKind.PatchEmbeddings, true)]
    [DataRow("NaiveBayes")]
    [DataRow("OneVersusAll")]
    [DataRow("OneVersusAll of FastTree")]
    [DataRow("PairwiseCoupling")]
    [DataRow("LightGbm")]
    [DataRow("LightGbm", SiglipOutputKind.PooledEmbedding, true)]
    [DataRow("LightGbm", SiglipOutputKind.PatchEmbeddings)]
    public void Multiclass(string trainer, SiglipOutputKind output = SiglipOutputKind.MeanPatchEmbedding, bool naFlex = false)
    {
        using TransformerChain<ITransformer> model = Fit(mlContext => NamedTrainer.Multiclass(mlContext, trainer), "Color", output, naFlex);
        IDataView predictions = model.Append(_mlContext.Transforms.Conversion.MapKeyToValue("PredictedColor", "PredictedLabel").Fit(model.Transform(Test)))
            .Transform(Test);

        MulticlassClassificationMetrics metrics = _mlContext.MulticlassClassification.Evaluate(predictions);
        Assert.AreEqual((1, 1), (metrics.MicroAccuracy, metrics.MacroAccuracy));
        CollectionAssert.AreEqual(new double[] { 8, 8, 8 }, metrics.ConfusionMatrix.Counts.Select((row, i) => row[i]).ToArray());
        CollectionAssert.AreEqual(ColoredImage.Test.Select(image => image.Color).ToArray(), predictions.GetColumn<string>("PredictedColor").ToArray());
    }

    [TestMethod]
    [DataRow("FastTree")]
    [DataRow("FastTree", SiglipOutputKind.PooledEmbedding, true)]
    [DataRow("FastForest")]
    [DataRow("Gam")]
    [DataRow("LightGbm")]
    [DataRow("SdcaLogisticRegression")]
    [DataRow("LbfgsLogisticRegression")]
    [DataRow("LinearSvm")]
    [DataRow("AveragedPerceptron")]
    [DataRow("SgdCalibrated")]
    [DataRow("LdSvm")]
    [DataRow("FieldAwareFactorizationMachine")]
    public void Binary(string trainer, SiglipOutputKind output = SiglipOutputKind.MeanPatchEmbedding, bool naFlex = false)
    {
        using TransformerChain<ITransformer> model = Fit(mlContext => NamedTrainer.Binary(mlContext, trainer), "IsRed", output, naFlex);

        BinaryClassificationMetrics metrics = _mlContext.BinaryClassification.EvaluateNonCalibrated(model.Transform(Test));
        Assert.AreEqual((1, 1), (metrics.Accuracy, metrics.AreaUnderRocCurve));
    }

    [TestMethod]
    [DataRow("FastTree")]
    [DataRow("FastForest")]
    [DataRow("FastTreeTweedie")]
    [DataRow("Gam")]
    [DataRow("LightGbm")]
    [DataRow("Sdca")]
    [DataRow("OnlineGradientDescent")]
    [DataRow("LbfgsPoissonRegression", SiglipOutputKind.PooledEmbedding, true)]
    public void Regression(string trainer, SiglipOutputKind output = SiglipOutputKind.MeanPatchEmbedding, bool naFlex = false)
    {
        using TransformerChain<ITransformer> model = Fit(mlContext => NamedTrainer.Regression(mlContext, trainer), "Number", output, naFlex);

        Assert.IsGreaterThan(0.9, _mlContext.Regression.Evaluate(model.Transform(Test)).RSquared); // of the numbers 0, 1 and 2
    }

    [TestMethod]
    [DataRow("FastTree")]
    [DataRow("LightGbm")]
    public void Ranking(string trainer)
    {
        using TransformerChain<ITransformer> model = Fit(mlContext => NamedTrainer.Ranking(mlContext, trainer), "Number");

        RankingMetrics metrics = _mlContext.Ranking.Evaluate(model.Transform(Test), rowGroupColumnName: "Group");
        Assert.IsTrue(metrics.NormalizedDiscountedCumulativeGains.All(gain => gain > 0.999), string.Join(' ', metrics.NormalizedDiscountedCumulativeGains));
    }

    [TestMethod]
    [DataRow(SiglipOutputKind.MeanPatchEmbedding, false)]
    [DataRow(SiglipOutputKind.PooledEmbedding, true)]
    public void KMeans(SiglipOutputKind output, bool naFlex)
    {
        using TransformerChain<ITransformer> model = Fit(mlContext => mlContext.Clustering.Trainers.KMeans(
            new KMeansTrainer.Options { NumberOfClusters = 3, NumberOfThreads = 1 }), "Color", output, naFlex);

        ClusteringMetrics metrics = _mlContext.Clustering.Evaluate(model.Transform(Test), "Label", featureColumnName: "Features");
        Assert.AreEqual(1, metrics.NormalizedMutualInformation, 1e-6, "a cluster for each color");
        Assert.IsGreaterThan(0, metrics.AverageDistance);
    }

    [TestMethod]
    [DataRow(SiglipOutputKind.MeanPatchEmbedding, false)]
    [DataRow(SiglipOutputKind.PooledEmbedding, true)]
    public void RandomizedPca(SiglipOutputKind output, bool naFlex)
    {
        // It learns what red looks like, and finds the others strange.
        using TransformerChain<ITransformer> model = Fit(mlContext => mlContext.AnomalyDetection.Trainers.RandomizedPca(rank: 3, ensureZeroMean: false, seed: 1), "IsRed", output, naFlex,
            [.. ColoredImage.Train.Where(image => image.IsRed)]);
        var others = _mlContext.Transforms.Expression("IsOther", "(red) => red ? 0f : 1f", "IsRed");
        IDataView predictions = model.Transform(Test);

        AnomalyDetectionMetrics metrics = _mlContext.AnomalyDetection.Evaluate(others.Fit(predictions).Transform(predictions), "IsOther", falsePositiveCount: 1);
        Assert.AreEqual(1, metrics.AreaUnderRocCurve);
        Assert.AreEqual(1, metrics.DetectionRateAtFalsePositiveCount);
    }

    [TestMethod]
    public void Without_a_cache_checkpoint_SDCA_embeds_in_every_pass_and_the_log_names_the_remedy()
    {
        var warnings = new List<string>();
        _mlContext.Log += (_, entry) =>
        {
            if (entry.Message.Contains("embedded a second time", StringComparison.Ordinal))
                warnings.Add(entry.Message);
        };
        IDataView few = ColoredImage.View(_mlContext, ColoredImage.Train.Take(6));
        var prepared = _mlContext.Transforms.Conversion.MapValueToKey("Label", "Color").Append(Featurizer(SiglipOutputKind.MeanPatchEmbedding));
        using var uncached = prepared.Append(Sdca()).Fit(few);
        Assert.HasCount(1, warnings);
        using var cached = prepared.AppendCacheCheckpoint(_mlContext).Append(Sdca()).Fit(few);

        Assert.IsGreaterThanOrEqualTo(2 * 20, FeaturizerOf(uncached).ForwardPasses, "two an iteration");
        Assert.AreEqual(1, FeaturizerOf(cached).ForwardPasses);
        Assert.HasCount(1, warnings);
        foreach (ITransformer model in (ITransformer[])[uncached, cached])
            Assert.AreEqual(1, _mlContext.MulticlassClassification.Evaluate(model.Transform(few)).MicroAccuracy);

        IEstimator<ITransformer> Sdca() => _mlContext.MulticlassClassification.Trainers.SdcaMaximumEntropy(
            new SdcaMaximumEntropyMulticlassTrainer.Options { NumberOfThreads = 1, MaximumNumberOfIterations = 20, ConvergenceTolerance = 1e-9f });
    }

    [TestMethod]
    public void Rows_with_a_missing_embedding_are_left_out_of_training()
    {
        ColoredImage[] withBad = [new() { Path = "no-such-file.png", Color = "red" }, .. ColoredImage.Train];
        var prepared = _mlContext.Transforms.Conversion.MapValueToKey("Label", "Color").Append(Featurizer(SiglipOutputKind.MeanPatchEmbedding, bad: BadImageHandling.Missing))
            .AppendCacheCheckpoint(_mlContext);
        using var model = prepared.Append(NamedTrainer.Multiclass(new MLContext(seed: 1), "LbfgsMaximumEntropy")).Fit(ColoredImage.View(_mlContext, withBad));

        Assert.AreEqual(1, _mlContext.MulticlassClassification.Evaluate(model.Transform(Test)).MicroAccuracy);
        IDataView predictions = model.Transform(ColoredImage.View(_mlContext, withBad.Take(2)));
        float[][] scores = Values(predictions, "Score");
        Assert.IsTrue(scores[0].All(float.IsNaN), "a missing image has no score");
        Assert.IsFalse(scores[1].Any(float.IsNaN));
    }

    private IDataView Test => ColoredImage.View(_mlContext, ColoredImage.Test);

    private SiglipImageFeaturizingEstimator Featurizer(SiglipOutputKind output, bool naFlex = false, BadImageHandling bad = BadImageHandling.Throw) =>
        _mlContext.Transforms.SiglipFeaturizeImage(Options("Path", ("Features", output)) with { Model = naFlex ? NaFlex : Checkpoint, BadImages = bad });

    /// <summary>Labels, embeddings and a trainer, fitted, with what is promised of every one checked.</summary>
    private TransformerChain<ITransformer> Fit(Func<MLContext, IEstimator<ITransformer>> trainer, string label, SiglipOutputKind output = SiglipOutputKind.MeanPatchEmbedding,
        bool naFlex = false, IReadOnlyList<ColoredImage>? images = null)
    {
        images ??= ColoredImage.Train;
        IDataView data = ColoredImage.View(_mlContext, images);
        IEstimator<ITransformer> labels = label == "Color" ? _mlContext.Transforms.Conversion.MapValueToKey("Label", label) : _mlContext.Transforms.CopyColumns("Label", label);
        EstimatorChain<ITransformer> pipeline = labels.Append(Featurizer(output, naFlex)).AppendCacheCheckpoint(_mlContext).Append(trainer(new MLContext(seed: 1)));
        Assert.IsTrue(pipeline.GetOutputSchema(EstimatorWorkout.ShapeOf(data.Schema)).Any(column => column.Name == "Score"));
        TransformerChain<ITransformer> model = pipeline.Fit(data);
        Assert.AreEqual(Passes(images.Count), FeaturizerOf(model).ForwardPasses, "one pass for each image");
        float[][] scores = Values(model.Transform(Test), "Score");

        // The trainer itself gives the same behind a file of the embeddings, to the bit.
        var prepared = new TransformerChain<ITransformer>(model.Take(2).ToArray());
        ITransformer plain = trainer(new MLContext(seed: 1)).Fit(_mlContext.Data.Cache(Plain(_mlContext, prepared.Transform(data))));
        AreSame(Values(plain.Transform(Plain(_mlContext, prepared.Transform(Test))), "Score"), scores);

        using var loaded = (IDisposable)EstimatorWorkout.SaveAndLoad(_mlContext, model, data.Schema);
        AreSame(scores, Values(((ITransformer)loaded).Transform(Test), "Score"));
        return model;
    }
}
