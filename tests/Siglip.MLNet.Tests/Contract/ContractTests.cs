using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

/// <summary>The contract for every kind of input, output and checkpoint.</summary>
[TestClass]
public sealed class ContractTests
{
    private const string Several = "several at once";
    private const string OtherSize = "fixed, images of 12 x 29";
    private const string Chain = "fixed, in a chain";
    private const string Cached = "fixed, embedding cache";
    private const string Classifier = "fixed, classifier";
    private const string LabelAndScore = "PredictedLabel and Score";

    private static readonly MLContext MLContext = new(seed: 1);
    private static readonly MLContext CachingContext = new(seed: 1);
    private static SiglipEmbeddingCache? _cache;
    private static readonly Lazy<IDataView> Valid = new(() => ContractRow.Load(MLContext, [Images[0], Images[1], Images[6]]));
    private static readonly Lazy<IDataView> Empty = new(() => ContractRow.Load(MLContext, []));
    private static readonly Lazy<IDataView> Rearranged = new(() => Through(Valid.Value, MLContext.Transforms.CopyColumns("Extra", "Number").Append(
        MLContext.Transforms.SelectColumns(["Extra", .. Valid.Value.Schema.Where(column => !column.IsHidden).Select(column => column.Name).Reverse()]))));

    public static IEnumerable<object[]> Cases() =>
        from checkpoint in (string[])["fixed", "NaFlex", "fixed, no head"]
        from input in (string[])["Path", "Bytes", "KnownBytes", "SparseBytes", "Image"]
        from output in (string[])[.. Enum.GetNames<SiglipOutputKind>(), Several]
        where checkpoint != "fixed, no head" || output != nameof(SiglipOutputKind.PooledEmbedding)
        select new object[] { checkpoint, input, output };

    [ClassInitialize]
    public static void StartCache(TestContext _) => _cache = CachingContext.CacheSiglipEmbeddings();

    [ClassCleanup]
    public static void EndCache() => _cache?.Dispose();

    [TestMethod]
    [DynamicData(nameof(Cases))]
    [DataRow(OtherSize, "Path", Several)]
    [DataRow(Chain, "Path", Several)]
    [DataRow(Cached, "Path", Several)]
    [DataRow(Cached, "Bytes", Several)]
    [DataRow(Cached, "Image", Several)]
    [DataRow(Classifier, "Path", LabelAndScore)]
    [DataRow(Classifier, "Bytes", LabelAndScore)]
    [DataRow(Classifier, "Image", LabelAndScore)]
    public void The_estimator_keeps_the_contract(string checkpoint, string input, string output)
    {
        var failures = new List<string>();
        foreach (int batchSize in (int[])[1, 2]) // of three rows
        {
            // Disposing takes the longest, and is the same with rows that do not wait for others.
            IEnumerable<ContractCheck> checks = Enum.GetValues<ContractCheck>().Where(check => batchSize != 1 || check != ContractCheck.Dispose);
            EstimatorContract.Run(ContextOf(checkpoint), Subject(checkpoint, input, output, batchSize), checks, (check, failure) =>
            {
                ContractReport.OfThisRun.Record(checkpoint, Describe(input), output, check, failure is null);
                if (failure is not null)
                    failures.Add($"{check}, batch size {batchSize}: {failure}");
            });
        }

        Assert.IsEmpty(failures, string.Join("\n\n", failures));
    }

    private static ContractSubject Subject(string checkpoint, string input, string output, int batchSize)
    {
        if (checkpoint == Classifier)
            return ClassifierSubject(input, batchSize);
        SiglipImageFeaturizingOptions options = OptionsOf(checkpoint, output) with { InputColumnName = input, BatchSize = batchSize };
        bool isChain = checkpoint == Chain;
        IEstimator<ITransformer> estimator = ContextOf(checkpoint).Transforms.SiglipFeaturizeImage(options);
        if (isChain)
        {
            estimator = MLContext.Transforms.LoadImages("Loaded", "", input)
                .Append(MLContext.Transforms.SiglipFeaturizeImage(options with { InputColumnName = "Loaded" }))
                .Append(MLContext.Transforms.DropColumns("Loaded"));
        }

        return Subject(estimator, input, options.Columns.ToDictionary(column => column.Key, column => TypeOf(checkpoint, column.Value)), batchSize) with { IsOneStep = !isChain };
    }

    /// <summary>The trained model; one of its columns hides one of the input.</summary>
    private static ContractSubject ClassifierSubject(string input, int batchSize)
    {
        SiglipImageClassificationOptions options = Colours.OneStep with { PredictedLabelColumnName = "Number", BatchSize = batchSize };
        return Subject(MLContext.MulticlassClassification.Trainers.SiglipImageClassification("Key", input, options), input, new Dictionary<string, DataViewType>
        {
            ["Number"] = new KeyDataViewType(typeof(uint), 3),
            ["Score"] = new VectorDataViewType(NumberDataViewType.Single, 3),
        }, batchSize) with
        { Annotates = true, FitsOnNoRows = false };
    }

    private static ContractSubject Subject(IEstimator<ITransformer> estimator, string input, IReadOnlyDictionary<string, DataViewType> outputs, int batchSize)
    {
        IDataView valid = Valid.Value;
        return new ContractSubject
        {
            Estimator = estimator,
            InputColumn = input,
            Outputs = outputs,
            Valid = valid,
            Rearranged = Rearranged.Value,
            Empty = Empty.Value,
            Invalid = new Dictionary<string, IDataView>
            {
                ["missing"] = Through(valid, MLContext.Transforms.DropColumns(input)),
                ["number"] = Replaced("Number"),
                ["truth value"] = Replaced("Truth"),
                ["one byte"] = Replaced("Byte"),
                ["vector of numbers"] = Replaced("Slots"),
                ["vector of signed bytes"] = Replaced("SignedBytes"),
                ["vector of texts"] = Replaced("Words"),
                ["key"] = Replaced("Key"),
                ["vector of keys"] = Replaced("Keys"),
            },
            Reference = MLContext.Transforms.ResizeImages("Resized", 8, 8, input),
            ReferenceInput = Replaced("Image"),
            MapperTolerance = batchSize == 1 ? 0 : Tolerance,
        };

        IDataView Replaced(string by) => Through(valid, MLContext.Transforms.CopyColumns(input, by));
    }

    private static MLContext ContextOf(string checkpoint) => checkpoint == Cached ? CachingContext : MLContext;

    private static IDataView Through(IDataView data, IEstimator<ITransformer> step) => step.Fit(data).Transform(data);

    /// <summary>One output hides a column of the input.</summary>
    private static SiglipImageFeaturizingOptions OptionsOf(string checkpoint, string output)
    {
        (string, SiglipOutputKind)[] columns = output != Several
            ? [("Number", Enum.Parse<SiglipOutputKind>(output))]
            : [("Patches", SiglipOutputKind.PatchEmbeddings), ("Number", SiglipOutputKind.MeanPatchEmbedding), ("PatchCount", SiglipOutputKind.PatchCount),
                ("Name", SiglipOutputKind.PatchGrid), ("Pooled", SiglipOutputKind.PooledEmbedding)];
        if (checkpoint == "fixed, no head")
            columns = [.. columns.Where(column => column.Item2 != SiglipOutputKind.PooledEmbedding)];
        SiglipImageFeaturizingOptions options = Options("", columns);
        return checkpoint switch
        {
            "NaFlex" => options with { Model = NaFlex, MaxNumPatches = 10 },
            "fixed, no head" => options with { Model = CheckpointWithoutHead },
            OtherSize => options with { InterpolatePositionEncoding = true, ImageHeight = 12, ImageWidth = 29 },
            _ => options,
        };
    }

    private static DataViewType TypeOf(string checkpoint, SiglipOutputKind kind)
    {
        (int patches, int hidden) = checkpoint switch
        {
            "NaFlex" => (10, 32),
            OtherSize => (3 * 7, Hidden),
            _ => (Patches, Hidden),
        };
        return kind switch
        {
            SiglipOutputKind.PatchEmbeddings => new VectorDataViewType(NumberDataViewType.Single, patches, hidden),
            SiglipOutputKind.PatchCount => NumberDataViewType.Single,
            SiglipOutputKind.PatchGrid => new VectorDataViewType(NumberDataViewType.Single, 2),
            _ => new VectorDataViewType(NumberDataViewType.Single, hidden),
        };
    }

    private static string Describe(string input) => input switch
    {
        "Path" => "path",
        "Bytes" => "bytes",
        "KnownBytes" => "bytes, known size",
        "SparseBytes" => "bytes, sparse",
        _ => "MLImage",
    };
}
