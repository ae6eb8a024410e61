using Microsoft.ML;
using Microsoft.ML.Trainers;
using Microsoft.ML.Trainers.FastTree;
using Microsoft.ML.Trainers.LightGbm;

namespace Siglip.MLNet.Tests.Neighbours;

/// <summary>ML.NET's trainers for few rows, on one thread, so that the same data give the same bits.</summary>
internal static class NamedTrainer
{
    public static IEstimator<ITransformer> Multiclass(MLContext mlContext, string trainer)
    {
        var catalog = mlContext.MulticlassClassification.Trainers;
        return trainer switch
        {
            "SdcaMaximumEntropy" => catalog.SdcaMaximumEntropy(new SdcaMaximumEntropyMulticlassTrainer.Options { NumberOfThreads = 1 }),
            "SdcaNonCalibrated" => catalog.SdcaNonCalibrated(new SdcaNonCalibratedMulticlassTrainer.Options { NumberOfThreads = 1 }),
            "LbfgsMaximumEntropy" => catalog.LbfgsMaximumEntropy(
                new LbfgsMaximumEntropyMulticlassTrainer.Options { NumberOfThreads = 1, L1Regularization = 0, L2Regularization = 0.01f }),
            "NaiveBayes" => mlContext.Transforms.NormalizeMeanVariance("Features", fixZero: false).Append(catalog.NaiveBayes()), // looks at signs only
            "OneVersusAll" => catalog.OneVersusAll(mlContext.BinaryClassification.Trainers.LbfgsLogisticRegression(Logistic())),
            "OneVersusAll of FastTree" => catalog.OneVersusAll(mlContext.BinaryClassification.Trainers.FastTree(Boosted<FastTreeBinaryTrainer.Options>())),
            "PairwiseCoupling" => catalog.PairwiseCoupling(mlContext.BinaryClassification.Trainers.LbfgsLogisticRegression(Logistic())),
            "LightGbm" => catalog.LightGbm(new LightGbmMulticlassTrainer.Options
            {
                NumberOfThreads = 1,
                NumberOfIterations = 20,
                NumberOfLeaves = 4,
                MinimumExampleCountPerLeaf = 2,
                LearningRate = 0.3,
            }),
            _ => throw Unknown(trainer),
        };
    }

    public static IEstimator<ITransformer> Binary(MLContext mlContext, string trainer)
    {
        var catalog = mlContext.BinaryClassification.Trainers;
        return trainer switch
        {
            "FastTree" => catalog.FastTree(Boosted<FastTreeBinaryTrainer.Options>()),
            "FastForest" => catalog.FastForest(Trees<FastForestBinaryTrainer.Options>()),
            "Gam" => catalog.Gam(new GamBinaryTrainer.Options { NumberOfThreads = 1, NumberOfIterations = 100 }),
            "LightGbm" => catalog.LightGbm(new LightGbmBinaryTrainer.Options
            {
                NumberOfThreads = 1,
                NumberOfIterations = 20,
                NumberOfLeaves = 4,
                MinimumExampleCountPerLeaf = 2,
                LearningRate = 0.3,
            }),
            "SdcaLogisticRegression" => catalog.SdcaLogisticRegression(new SdcaLogisticRegressionBinaryTrainer.Options { NumberOfThreads = 1 }),
            "LbfgsLogisticRegression" => catalog.LbfgsLogisticRegression(Logistic()),
            "LinearSvm" => catalog.LinearSvm(numberOfIterations: 20),
            "AveragedPerceptron" => catalog.AveragedPerceptron(numberOfIterations: 20),
            "SgdCalibrated" => catalog.SgdCalibrated(new SgdCalibratedTrainer.Options { NumberOfThreads = 1, NumberOfIterations = 50, LearningRate = 0.1 }),
            "LdSvm" => catalog.LdSvm(treeDepth: 1, numberOfIterations: 5000),
            "FieldAwareFactorizationMachine" => catalog.FieldAwareFactorizationMachine(
                new FieldAwareFactorizationMachineTrainer.Options { FeatureColumnName = "Features", LabelColumnName = "Label", NumberOfIterations = 30 }),
            _ => throw Unknown(trainer),
        };
    }

    public static IEstimator<ITransformer> Regression(MLContext mlContext, string trainer)
    {
        var catalog = mlContext.Regression.Trainers;
        return trainer switch
        {
            "FastTree" => catalog.FastTree(Boosted<FastTreeRegressionTrainer.Options>()),
            "FastForest" => catalog.FastForest(Trees<FastForestRegressionTrainer.Options>()),
            "FastTreeTweedie" => catalog.FastTreeTweedie(Boosted<FastTreeTweedieTrainer.Options>()),
            "Gam" => catalog.Gam(new GamRegressionTrainer.Options { NumberOfThreads = 1, NumberOfIterations = 100, LearningRate = 0.1 }),
            "LightGbm" => catalog.LightGbm(new LightGbmRegressionTrainer.Options
            {
                NumberOfThreads = 1,
                NumberOfIterations = 30,
                NumberOfLeaves = 4,
                MinimumExampleCountPerLeaf = 2,
                LearningRate = 0.3,
            }),
            "Sdca" => catalog.Sdca(new SdcaRegressionTrainer.Options { NumberOfThreads = 1 }),
            "OnlineGradientDescent" => mlContext.Transforms.NormalizeMinMax("Features").Append(catalog.OnlineGradientDescent(numberOfIterations: 200)),
            "LbfgsPoissonRegression" => catalog.LbfgsPoissonRegression(
                new LbfgsPoissonRegressionTrainer.Options { NumberOfThreads = 1, L1Regularization = 0, L2Regularization = 0.01f }),
            _ => throw Unknown(trainer),
        };
    }

    public static IEstimator<ITransformer> Ranking(MLContext mlContext, string trainer)
    {
        var catalog = mlContext.Ranking.Trainers;
        return trainer switch
        {
            "FastTree" => catalog.FastTree(Ranked()),
            "LightGbm" => catalog.LightGbm(new LightGbmRankingTrainer.Options
            {
                RowGroupColumnName = "Group",
                NumberOfThreads = 1,
                NumberOfIterations = 20,
                NumberOfLeaves = 4,
                MinimumExampleCountPerLeaf = 2,
                LearningRate = 0.3,
            }),
            _ => throw Unknown(trainer),
        };
    }

    private static LbfgsLogisticRegressionBinaryTrainer.Options Logistic() => new() { NumberOfThreads = 1, L1Regularization = 0, L2Regularization = 0.01f };

    private static FastTreeRankingTrainer.Options Ranked()
    {
        FastTreeRankingTrainer.Options options = Boosted<FastTreeRankingTrainer.Options>();
        options.RowGroupColumnName = "Group";
        return options;
    }

    private static TOptions Boosted<TOptions>() where TOptions : BoostedTreeOptions, new()
    {
        TOptions options = Trees<TOptions>();
        options.LearningRate = 0.3;
        return options;
    }

    private static TOptions Trees<TOptions>() where TOptions : TreeOptions, new() =>
        new() { NumberOfThreads = 1, NumberOfTrees = 20, NumberOfLeaves = 4, MinimumExampleCountPerLeaf = 2 };

    private static ArgumentOutOfRangeException Unknown(string trainer) => new(nameof(trainer), trainer, "There is no such trainer here.");
}
