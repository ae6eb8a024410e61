using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms;
using static Siglip.MLNet.Tests.Neighbours.Neighbourhood;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests.Neighbours;

/// <summary>Steps of ML.NET's that take the featurizer's columns.</summary>
[TestClass]
public sealed class AfterTests
{
    private const float FlexTolerance = 2e-5f; // of patches; see Reference/tolerances.json of Siglip.Core's tests

    private readonly MLContext _mlContext = new(seed: 1);

    private static SiglipImageFeaturizingOptions Pooled => Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { BatchSize = 3 };

    private static SiglipImageFeaturizingOptions Flex => Options("Path", ("Patches", SiglipOutputKind.PatchEmbeddings), ("Embedding", SiglipOutputKind.PooledEmbedding),
        ("PatchCount", SiglipOutputKind.PatchCount), ("PatchGrid", SiglipOutputKind.PatchGrid)) with
    { Model = NaFlex, BatchSize = 3 };

    [TestMethod]
    public void Concatenate()
    {
        IDataView data = Data(_mlContext, NaFlexImages);
        var estimator = _mlContext.Transforms.SiglipFeaturizeImage(Flex).Append(_mlContext.Transforms.Concatenate("All", "Embedding", "PatchCount", "Number", "PatchGrid"));
        using var model = estimator.Fit(data);
        IDataView transformed = model.Transform(data);
        SiglipImageFeaturizingTransformer featurizer = FeaturizerOf(model);

        float[][] all = Vectors(transformed, "All");
        Assert.AreEqual(Passes(NaFlexImages.Count, 3), featurizer.ForwardPasses, "two active columns, one pass");
        float[][] embeddings = NaFlexImages.Select(path => Embeddings(NaFlex, SiglipOutputKind.PooledEmbedding, [Core.RgbImage.Load(path)])[0]).ToArray();
        float[][] grids = Vectors(transformed, "PatchGrid");
        AreClose([.. embeddings.Select((embedding, i) => (float[])[.. embedding, grids[i][0] * grids[i][1], i, .. grids[i]])], all, FlexTolerance);
        Assert.IsGreaterThan(1, grids.Select(grid => grid[0] * grid[1]).Distinct().Count());

        VBuffer<ReadOnlyMemory<char>> names = default;
        transformed.Schema["All"].GetSlotNames(ref names);
        CollectionAssert.AreEqual(new[] { "PatchCount", "Number" }, names.Items().Where(name => name.Value.ToString() is "PatchCount" or "Number").Select(name => name.Value.ToString()).ToArray());
        AssertSaves(model, data, "All");
    }

    [TestMethod]
    public void Concatenate_of_patches_flattens_their_two_dimensions()
    {
        IDataView data = Data(_mlContext, NaFlexImages);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Flex).Append(_mlContext.Transforms.Concatenate("All", "Patches", "PatchCount")).Fit(data);
        IDataView transformed = model.Transform(data);

        Assert.AreEqual(new VectorDataViewType(NumberDataViewType.Single, 22, 32), transformed.Schema["Patches"].Type);
        Assert.AreEqual(new VectorDataViewType(NumberDataViewType.Single, (22 * 32) + 1), transformed.Schema["All"].Type);
        float[][] patches = Vectors(transformed, "Patches");
        float[] counts = [.. transformed.GetColumn<float>("PatchCount")];
        AreSame([.. patches.Select((row, i) => (float[])[.. row, counts[i]])], Vectors(transformed, "All"));
        AssertSaves(model, data, "All");
    }

    [TestMethod]
    public void NormalizeMinMax()
    {
        float[][] embeddings = Expected(SiglipOutputKind.PooledEmbedding);
        float[] largest = [.. Enumerable.Range(0, Hidden).Select(i => embeddings.Max(row => Math.Abs(row[i])))];
        float[][] expected = [.. embeddings.Select(row => row.Select((value, i) => value / largest[i]).ToArray())];
        AssertMakes(_mlContext.Transforms.NormalizeMinMax("Normalized", "Embedding"), "Normalized", expected);
    }

    [TestMethod]
    public void NormalizeMeanVariance()
    {
        float[][] embeddings = Expected(SiglipOutputKind.PooledEmbedding);
        float[] mean = [.. Enumerable.Range(0, Hidden).Select(i => embeddings.Average(row => row[i]))];
        float[] deviation = [.. Enumerable.Range(0, Hidden).Select(i => MathF.Sqrt(embeddings.Average(row => (row[i] - mean[i]) * (row[i] - mean[i]))))];
        float[][] expected = [.. embeddings.Select(row => row.Select((value, i) => (value - mean[i]) / deviation[i]).ToArray())];
        AssertMakes(_mlContext.Transforms.NormalizeMeanVariance("Normalized", "Embedding", fixZero: false), "Normalized", expected, 1e-3f); // deviations of 0.1 multiply differences
    }

    [TestMethod]
    public void NormalizeLpNorm() =>
        AssertMakes(_mlContext.Transforms.NormalizeLpNorm("Normalized", "Embedding"), "Normalized", Expected(SiglipOutputKind.PooledEmbedding, normalize: true));

    [TestMethod]
    [DataRow("ProjectToPrincipalComponents")]
    [DataRow("NormalizeLogMeanVariance")]
    [DataRow("NormalizeBinning")]
    [DataRow("NormalizeSupervisedBinning")]
    [DataRow("NormalizeRobustScaling")]
    [DataRow("NormalizeGlobalContrast")]
    [DataRow("ApproximatedKernelMap")]
    [DataRow("SelectFeaturesBasedOnCount")]
    [DataRow("SelectFeaturesBasedOnMutualInformation")]
    [DataRow("ConvertType")]
    [DataRow("IndicateMissingValues")]
    [DataRow("FeaturizeByTrees")]
    [DataRow("Expression")]
    public void What_a_step_makes_of_a_file_of_the_embeddings_it_makes_of_the_featurizers(string step)
    {
        IDataView images = ColoredImage.View(_mlContext, ColoredImage.Train);
        IEstimator<ITransformer> first = _mlContext.Transforms.Conversion.MapValueToKey("Label", "Color").Append(_mlContext.Transforms.SiglipFeaturizeImage(Pooled with { BatchSize = 16 }));
        using var model = first.Append(Step(new MLContext(seed: 1), step)).Fit(images);
        IDataView made = model.Transform(images);
        IDataView plain = Plain(_mlContext, made);
        float[][] expected = Values(Step(new MLContext(seed: 1), step).Fit(plain).Transform(plain), "Made");

        Assert.HasCount(ColoredImage.Train.Count, expected);
        Assert.IsGreaterThan(1, expected.Select(row => string.Join(' ', row)).Distinct().Count() + (step == "IndicateMissingValues" ? 1 : 0), "rows differ");
        AreSame(expected, Values(made, "Made"));
        AssertSaves(model, images, "Made");
    }

    [TestMethod]
    public void ProjectToPrincipalComponents_keeps_what_differs_between_colors()
    {
        IDataView images = ColoredImage.View(_mlContext, ColoredImage.Train);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Pooled)
            .Append(_mlContext.Transforms.ProjectToPrincipalComponents("Components", "Embedding", rank: 2)).Fit(images);
        float[][] components = Vectors(model.Transform(images), "Components");

        for (int i = 0; i < components.Length; i++)
        {
            int nearest = Enumerable.Range(0, components.Length).Where(j => j != i).MinBy(j => components[i].Zip(components[j], (a, b) => (a - b) * (a - b)).Sum());
            Assert.AreEqual(ColoredImage.Train[i].Color, ColoredImage.Train[nearest].Color, $"image {i}");
        }
    }

    [TestMethod]
    public void MapValueToKey_of_another_column_and_of_the_number_of_patches()
    {
        IDataView data = Data(_mlContext, NaFlexImages);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Flex)
            .Append(_mlContext.Transforms.Conversion.MapValueToKey("Key", "Group"))
            .Append(_mlContext.Transforms.Conversion.MapValueToKey("CountKey", "PatchCount"))
            .Append(_mlContext.Transforms.Conversion.MapKeyToValue("CountAgain", "CountKey")).Fit(data);
        IDataView transformed = model.Transform(data);

        CollectionAssert.AreEqual(new uint[] { 1, 2, 3, 1 }, transformed.GetColumn<uint>("Key").ToArray());
        CollectionAssert.AreEqual(transformed.GetColumn<float>("PatchCount").ToArray(), transformed.GetColumn<float>("CountAgain").ToArray());
        Assert.AreEqual(0, FeaturizerOf(model).ForwardPasses, "numbers of patches and other columns cost none");
    }

    [TestMethod]
    [DataRow(MissingValueReplacingEstimator.ReplacementMode.DefaultValue)]
    [DataRow(MissingValueReplacingEstimator.ReplacementMode.Mean)]
    [DataRow(MissingValueReplacingEstimator.ReplacementMode.Minimum)]
    [DataRow(MissingValueReplacingEstimator.ReplacementMode.Maximum)]
    public void ReplaceMissingValues(MissingValueReplacingEstimator.ReplacementMode mode)
    {
        IDataView data = Data(_mlContext, [Images[0], "no-such-file.png", .. Images.Skip(1)]);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Pooled with { BadImages = BadImageHandling.Missing })
            .Append(_mlContext.Transforms.IndicateMissingValues("IsMissing", "Embedding"))
            .Append(_mlContext.Transforms.ReplaceMissingValues("Replaced", "Embedding", mode)).Fit(data);
        IDataView transformed = model.Transform(data);
        float[][] good = Expected(SiglipOutputKind.PooledEmbedding);
        float[] replacement = [.. Enumerable.Range(0, Hidden).Select(i => mode switch
        {
            MissingValueReplacingEstimator.ReplacementMode.Mean => good.Average(row => row[i]),
            MissingValueReplacingEstimator.ReplacementMode.Minimum => good.Min(row => row[i]),
            MissingValueReplacingEstimator.ReplacementMode.Maximum => good.Max(row => row[i]),
            _ => 0,
        })];

        AreClose([good[0], replacement, .. good.Skip(1)], Vectors(transformed, "Replaced"));
        bool[][] missing = [.. transformed.GetColumn<bool[]>("IsMissing")];
        for (int row = 0; row < missing.Length; row++)
            Assert.IsTrue(missing[row].All(flag => flag == (row == 1)), $"row {row}");
        AssertSaves(model, data, "Replaced");
    }

    [TestMethod]
    public void AppendCacheCheckpoint_makes_it_one_pass_for_all_that_follows()
    {
        IDataView data = Data(_mlContext);
        var first = _mlContext.Transforms.SiglipFeaturizeImage(Pooled);
        using var uncached = Fit(new EstimatorChain<SiglipImageFeaturizingTransformer>().Append(first));
        using var cached = Fit(new EstimatorChain<SiglipImageFeaturizingTransformer>().Append(first).AppendCacheCheckpoint(_mlContext));

        Assert.AreEqual(3 * Passes(Images.Count, 3), FeaturizerOf(uncached).ForwardPasses, "each of the three steps reads all images once");
        Assert.AreEqual(Passes(Images.Count, 3), FeaturizerOf(cached).ForwardPasses);
        AreSame(Vectors(uncached.Transform(data), "B"), Vectors(cached.Transform(data), "B"));

        TransformerChain<ITransformer> Fit(EstimatorChain<SiglipImageFeaturizingTransformer> chain) => chain
            .Append(_mlContext.Transforms.NormalizeMinMax("A", "Embedding"))
            .Append(_mlContext.Transforms.NormalizeMeanVariance("C", "A"))
            .Append<ITransformer>(_mlContext.Transforms.NormalizeBinning("B", "C")).Fit(data);
    }

    [TestMethod]
    public void AppendCacheCheckpoint_takes_a_pass_for_each_column_that_is_asked_for_later_unless_they_are_one()
    {
        IDataView data = Data(_mlContext);
        var featurizer = _mlContext.Transforms.SiglipFeaturizeImage(
            Options("Path", ("Pooled", SiglipOutputKind.PooledEmbedding), ("Mean", SiglipOutputKind.MeanPatchEmbedding)) with { BatchSize = 3 });
        using var two = featurizer.AppendCacheCheckpoint(_mlContext)
            .Append(_mlContext.Transforms.NormalizeMinMax("A", "Pooled")).Append(_mlContext.Transforms.NormalizeMinMax("B", "Mean")).Fit(data);
        using var one = featurizer.Append(_mlContext.Transforms.Concatenate("Both", "Pooled", "Mean")).AppendCacheCheckpoint(_mlContext)
            .Append(_mlContext.Transforms.NormalizeMinMax("A", "Both")).Append(_mlContext.Transforms.NormalizeMeanVariance("B", "Both")).Fit(data);

        Assert.AreEqual(2 * Passes(Images.Count, 3), FeaturizerOf(two).ForwardPasses);
        Assert.AreEqual(Passes(Images.Count, 3), FeaturizerOf(one).ForwardPasses);
        AreSame([.. Vectors(two.Transform(data), "A").Zip(Vectors(two.Transform(data), "B"), (a, b) => (float[])[.. a, .. b])], Vectors(one.Transform(data), "A"));
    }

    [TestMethod]
    public void A_step_for_training_only_is_left_out_by_the_fitted_chain()
    {
        IDataView data = Data(_mlContext);
        using var model = new EstimatorChain<ITransformer>().Append(_mlContext.Transforms.CopyColumns("Copy", "Name"), TransformerScope.TrainTest)
            .Append(_mlContext.Transforms.SiglipFeaturizeImage(Pooled), TransformerScope.TrainTest)
            .Append(_mlContext.Transforms.CopyColumns("Other", "Name")).Fit(data);
        DataViewSchema schema = model.Transform(data).Schema;

        Assert.IsNull(schema.GetColumnOrNull("Copy")); // ML.NET's own
        Assert.IsNull(schema.GetColumnOrNull("Embedding"));
        Assert.IsNotNull(schema.GetColumnOrNull("Other"));
    }

    [TestMethod]
    public void A_cache_drops_images_with_and_without_the_featurizer()
    {
        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.LoadImages("Image", "", "Path").Append(_mlContext.Transforms.SiglipFeaturizeImage(Pooled with { InputColumnName = "Image" })).Fit(data);
        IDataView loaded = _mlContext.Transforms.LoadImages("Image", "", "Path").Fit(data).Transform(data);

        Assert.IsNull(_mlContext.Data.Cache(loaded).Schema.GetColumnOrNull("Image"));
        IDataView cached = _mlContext.Data.Cache(model.Transform(data));
        Assert.IsNull(cached.Schema.GetColumnOrNull("Image"));
        AreClose(Expected(SiglipOutputKind.PooledEmbedding), Vectors(cached, "Embedding"));
        AreClose(Expected(SiglipOutputKind.PooledEmbedding), Vectors(cached, "Embedding"));
        Assert.AreEqual(Passes(Images.Count, 3), FeaturizerOf(model).ForwardPasses);
    }

    [TestMethod]
    public void SelectColumns_and_DropColumns()
    {
        IDataView data = Data(_mlContext);
        var first = _mlContext.Transforms.SiglipFeaturizeImage(Options("Path", ("Pooled", SiglipOutputKind.PooledEmbedding), ("Mean", SiglipOutputKind.MeanPatchEmbedding)));
        using var selected = first.Append(_mlContext.Transforms.SelectColumns("Mean", "Name")).Fit(data);
        using var dropped = first.Append(_mlContext.Transforms.DropColumns("Pooled", "Mean", "Path")).Fit(data);

        IDataView transformed = selected.Transform(data);
        CollectionAssert.AreEquivalent(new[] { "Mean", "Name" }, transformed.Schema.Where(column => !column.IsHidden).Select(column => column.Name).ToArray());
        AreClose(Expected(SiglipOutputKind.MeanPatchEmbedding), Vectors(transformed, "Mean"));
        AssertSaves(selected, data, "Mean");

        IDataView rest = dropped.Transform(data);
        Assert.IsNull(rest.Schema.GetColumnOrNull("Pooled"));
        using (DataViewRowCursor cursor = rest.GetRowCursor(rest.Schema))
        {
            while (cursor.MoveNext())
                Assert.IsTrue(cursor.IsColumnActive(rest.Schema["Name"]));
        }

        Assert.AreEqual(0, FeaturizerOf(dropped).ForwardPasses, "no embedding is left to ask for");
    }

    [TestMethod]
    public void Two_featurizers_in_one_chain()
    {
        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Pooled)
            .Append(_mlContext.Transforms.SiglipFeaturizeImage(Options("Bytes", ("Flex", SiglipOutputKind.PooledEmbedding)) with { Model = NaFlex, BatchSize = 4 }))
            .Append(_mlContext.Transforms.Concatenate("Both", "Embedding", "Flex")).Fit(data);
        float[][] pooled = Expected(SiglipOutputKind.PooledEmbedding);
        float[][] flex = Embeddings(NaFlex, SiglipOutputKind.PooledEmbedding, Images.Select(path => Core.RgbImage.Load(path)));

        AreClose([.. pooled.Zip(flex, (a, b) => (float[])[.. a, .. b])], Vectors(model.Transform(data), "Both"));
        CollectionAssert.AreEqual(new long[] { Passes(Images.Count, 3), Passes(Images.Count, 4) },
            model.OfType<SiglipImageFeaturizingTransformer>().Select(featurizer => featurizer.ForwardPasses).ToArray());
        AreClose(flex, Vectors(model.Transform(data), "Flex"));
        Assert.AreEqual(Passes(Images.Count, 3), model.OfType<SiglipImageFeaturizingTransformer>().First().ForwardPasses, "the first is not asked for");
        AssertSaves(model, data, "Both");
    }

    [TestMethod]
    public void Two_featurizers_with_the_same_output_name_the_later_hides_the_earlier()
    {
        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Pooled)
            .Append(_mlContext.Transforms.SiglipFeaturizeImage(Options("Path", ("Embedding", SiglipOutputKind.MeanPatchEmbedding)))).Fit(data);

        AreClose(Expected(SiglipOutputKind.MeanPatchEmbedding), Vectors(model.Transform(data), "Embedding"));
        Assert.AreEqual(0, model.OfType<SiglipImageFeaturizingTransformer>().First().ForwardPasses);
        AssertSaves(model, data, "Embedding");
    }

    [TestMethod]
    public void The_part_of_a_chain_for_a_scope_embeds_with_the_same_model()
    {
        IDataView data = Data(_mlContext);
        using var model = new EstimatorChain<ITransformer>()
            .Append(_mlContext.Transforms.Conversion.MapValueToKey("Key", "Group"), TransformerScope.TrainTest)
            .Append(_mlContext.Transforms.SiglipFeaturizeImage(Pooled))
            .Append(_mlContext.Transforms.NormalizeMinMax("Normalized", "Embedding"), TransformerScope.Scoring).Fit(data);
        TransformerChain<ITransformer> training = model.GetModelFor(TransformerScope.Training), scoring = model.GetModelFor(TransformerScope.Scoring);

        CollectionAssert.AreEqual(new[] { typeof(ValueToKeyMappingTransformer), typeof(SiglipImageFeaturizingTransformer) }, training.Select(step => step.GetType()).ToArray());
        CollectionAssert.AreEqual(new[] { typeof(SiglipImageFeaturizingTransformer), typeof(NormalizingTransformer) }, scoring.Select(step => step.GetType()).ToArray());
        IDataView unlabeled = _mlContext.Transforms.SelectColumns("Path").Fit(data).Transform(data);
        AreClose(Expected(SiglipOutputKind.PooledEmbedding), Vectors(scoring.Transform(unlabeled), "Embedding"));
        AreSame(Vectors(model.Transform(data), "Normalized"), Vectors(scoring.Transform(unlabeled), "Normalized"));

        // Both parts hold the same featurizer: disposing one disposes it, disposing the other does no harm.
        scoring.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(() => model.Transform(data));
        training.Dispose();
    }

    [TestMethod]
    public void A_chain_within_a_chain()
    {
        IDataView data = Data(_mlContext);
        var inner = _mlContext.Transforms.LoadImages("Image", "", "Path").Append(_mlContext.Transforms.SiglipFeaturizeImage(Pooled with { InputColumnName = "Image" }));
        using var model = _mlContext.Transforms.CopyColumns("Copy", "Path").Append(inner).Append(_mlContext.Transforms.CopyColumns("Out", "Embedding")).Fit(data);

        AreClose(Expected(SiglipOutputKind.PooledEmbedding), Vectors(model.Transform(data), "Out"));
        AssertSaves(model, data, "Out");
    }

    [TestMethod]
    public void All_columns_of_a_further_step_images_included()
    {
        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.LoadImages("Image", "", "Path")
            .Append(_mlContext.Transforms.SiglipFeaturizeImage(Pooled with { InputColumnName = "Image" }))
            .Append(_mlContext.Transforms.ConvertToGrayscale("Gray", "Image"))
            .Append(_mlContext.Transforms.NormalizeLpNorm("Normalized", "Embedding")).Fit(data);
        IDataView view = model.Transform(data);
        float[][] expected = Expected(SiglipOutputKind.PooledEmbedding, normalize: true);
        using DataViewRowCursor cursor = view.GetRowCursor(view.Schema);
        ValueGetter<MLImage> image = cursor.GetGetter<MLImage>(view.Schema["Image"]), gray = cursor.GetGetter<MLImage>(view.Schema["Gray"]);
        MLImage current = null!, currentGray = null!;
        for (int row = 0; row < Images.Count; row++)
        {
            Assert.IsTrue(cursor.MoveNext());
            image(ref current);
            gray(ref currentGray);
            using MLImage original = MLImage.CreateFromFile(Images[row]);
            Assert.IsTrue(original.Pixels.SequenceEqual(current.Pixels), $"row {row}");
            Assert.AreEqual((original.Width, original.Height), (currentGray.Width, currentGray.Height));
            AreClose([expected[row]], [EstimatorWorkout.ReadVector(cursor, view.Schema["Normalized"])]);
        }

        Assert.IsFalse(cursor.MoveNext());
        current.Dispose();
        currentGray.Dispose();
    }

    [TestMethod]
    public void CustomMapping_of_the_embeddings()
    {
        IDataView data = Data(_mlContext);
        var norm = _mlContext.Transforms.CustomMapping<Embedded, Norm>((row, made) => made.Length = MathF.Sqrt(row.Embedding.Sum(value => value * value)), contractName: null);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Pooled).Append(norm).Fit(data);

        AreClose([.. Expected(SiglipOutputKind.PooledEmbedding).Select(row => (float[])[MathF.Sqrt(row.Sum(value => value * value))])], Values(model.Transform(data), "Length"));
    }

    [TestMethod]
    public void An_error_of_an_image_comes_out_of_a_step_of_MLNet_as_its_own_errors_do()
    {
        IDataView data = Data(_mlContext, [Images[0], "no-such-file.png", Images[1]]);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Pooled).Append(_mlContext.Transforms.NormalizeLpNorm("Normalized", "Embedding")).Fit(data);
        var own = _mlContext.Transforms.LoadRawImageBytes("Raw", "", "Path").Fit(data).Transform(data);

        var fault = Assert.ThrowsExactly<InvalidOperationException>(() => Vectors(model.Transform(data), "Normalized"));
        Exception? inner = fault;
        while (inner is InvalidOperationException)
            inner = inner.InnerException;
        StringAssert.Contains(Assert.IsInstanceOfType<FileNotFoundException>(inner).Message, "Row 1, column 'Path'");
        var ownFault = Assert.ThrowsExactly<InvalidOperationException>(() => _ = own.GetColumn<byte[]>("Raw").ToArray());
        Assert.AreEqual(ownFault.Message, fault.Message);
    }

    private static IEstimator<ITransformer> Step(MLContext mlContext, string step) => step switch
    {
        "ProjectToPrincipalComponents" => mlContext.Transforms.ProjectToPrincipalComponents("Made", "Embedding", rank: 5, seed: 1),
        "NormalizeLogMeanVariance" => mlContext.Transforms.NormalizeLogMeanVariance("Made", "Embedding"),
        "NormalizeBinning" => mlContext.Transforms.NormalizeBinning("Made", "Embedding", maximumBinCount: 8),
        "NormalizeSupervisedBinning" => mlContext.Transforms.NormalizeSupervisedBinning("Made", "Embedding", labelColumnName: "Label", mininimumExamplesPerBin: 4),
        "NormalizeRobustScaling" => mlContext.Transforms.NormalizeRobustScaling("Made", "Embedding"),
        "NormalizeGlobalContrast" => mlContext.Transforms.NormalizeGlobalContrast("Made", "Embedding"),
        "ApproximatedKernelMap" => mlContext.Transforms.ApproximatedKernelMap("Made", "Embedding", rank: 8, seed: 1),
        "SelectFeaturesBasedOnCount" => mlContext.Transforms.FeatureSelection.SelectFeaturesBasedOnCount("Made", "Embedding", count: 10),
        "SelectFeaturesBasedOnMutualInformation" => mlContext.Transforms.FeatureSelection.SelectFeaturesBasedOnMutualInformation("Made", "Embedding", slotsInOutput: 6, numberOfBins: 8),
        "ConvertType" => mlContext.Transforms.Conversion.ConvertType("Doubles", "Embedding", DataKind.Double)
            .Append(mlContext.Transforms.Conversion.ConvertType("Made", "Doubles", DataKind.Single)),
        "IndicateMissingValues" => mlContext.Transforms.IndicateMissingValues("Flags", "Embedding").Append(mlContext.Transforms.Conversion.ConvertType("Made", "Flags")),
        "FeaturizeByTrees" => mlContext.Transforms.FeaturizeByFastTreeBinary(new Microsoft.ML.Trainers.FastTree.FastTreeBinaryFeaturizationEstimator.Options
        {
            InputColumnName = "Embedding",
            TreesColumnName = "Made",
            LeavesColumnName = "MadeLeaves",
            PathsColumnName = "MadePaths",
            TrainerOptions = new() { NumberOfTrees = 5, NumberOfLeaves = 4, MinimumExampleCountPerLeaf = 2, NumberOfThreads = 1, FeatureColumnName = "Embedding", LabelColumnName = "IsRed" },
        }),
        _ => mlContext.Transforms.Expression("Made", "(x) => x * x + 1", "Embedding"),
    };

    /// <summary>A step fitted behind the featurizer gives the values; it takes one pass to fit it, one to read them, and the loaded chain gives the same.</summary>
    private void AssertMakes(IEstimator<ITransformer> step, string column, float[][] expected, float tolerance = Tolerance)
    {
        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Pooled).Append(step).Fit(data);
        long fitting = FeaturizerOf(model).ForwardPasses;
        Assert.IsTrue(fitting == 0 || fitting == Passes(Images.Count, 3), $"{fitting} passes for fitting");

        AreClose(expected, Vectors(model.Transform(data), column), tolerance);
        Assert.AreEqual(fitting + Passes(Images.Count, 3), FeaturizerOf(model).ForwardPasses);
        AssertSaves(model, data, column);
    }

    private void AssertSaves(ITransformer model, IDataView data, string column)
    {
        using var loaded = (IDisposable)EstimatorWorkout.SaveAndLoad(_mlContext, model, data.Schema);
        AreSame(Values(model.Transform(data), column), Values(((ITransformer)loaded).Transform(data), column));
    }

    private sealed class Embedded
    {
        [VectorType(Hidden)]
        public float[] Embedding { get; set; } = [];
    }

    private sealed class Norm
    {
        public float Length { get; set; }
    }
}
