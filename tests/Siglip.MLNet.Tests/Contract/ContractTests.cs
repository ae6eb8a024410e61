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

    private static readonly string[] Inputs = ["Path", "Bytes", "KnownBytes", "SparseBytes", "Image"];

    private static IReadOnlyList<string> ContractImages => [Images[0], Images[1], Images[2], Images[4], Images[6]];

    private readonly MLContext _mlContext = new(seed: 1);

    public static IEnumerable<object[]> Cases() =>
        from checkpoint in (string[])["fixed", "NaFlex", "fixed, no head"]
        from input in Inputs
        from output in (string[])[.. Enum.GetNames<SiglipOutputKind>(), Several]
        where checkpoint != "fixed, no head" || output != nameof(SiglipOutputKind.PooledEmbedding)
        select new object[] { checkpoint, input, output };

    [TestMethod]
    [DynamicData(nameof(Cases))]
    [DataRow(OtherSize, "Path", Several)]
    [DataRow(Chain, "Path", Several)]
    public void The_estimator_keeps_the_contract(string checkpoint, string input, string output)
    {
        var failures = new List<string>();
        foreach (int batchSize in (int[])[1, 2]) // of five rows
        {
            EstimatorContract.Run(_mlContext, Subject(checkpoint, input, output, batchSize), (check, failure) =>
            {
                ContractReport.OfThisRun.Record(checkpoint, Describe(input), output, check, failure is null);
                if (failure is not null)
                    failures.Add($"{check}, batch size {batchSize}: {failure}");
            });
        }

        Assert.IsEmpty(failures, string.Join("\n\n", failures));
    }

    private ContractSubject Subject(string checkpoint, string input, string output, int batchSize)
    {
        SiglipImageFeaturizingOptions options = OptionsOf(checkpoint, output) with { InputColumnName = input, BatchSize = batchSize };
        bool isChain = checkpoint == Chain;
        IEstimator<ITransformer> estimator = _mlContext.Transforms.SiglipFeaturizeImage(options);
        if (isChain)
        {
            estimator = _mlContext.Transforms.LoadImages("Loaded", "", input)
                .Append(_mlContext.Transforms.SiglipFeaturizeImage(options with { InputColumnName = "Loaded" }))
                .Append(_mlContext.Transforms.DropColumns("Loaded"));
        }

        IDataView valid = ContractRow.Load(_mlContext, ContractImages);
        DataViewSchema.Column[] shown = [.. valid.Schema.Where(column => !column.IsHidden)];
        IDataView rearranged = Through(valid, _mlContext.Transforms.CopyColumns("Extra", "Number")
            .Append(_mlContext.Transforms.SelectColumns(["Extra", .. shown.Select(column => column.Name).Reverse()])));
        return new ContractSubject
        {
            Estimator = estimator,
            InputColumn = input,
            Outputs = options.Columns.ToDictionary(column => column.Key, column => TypeOf(checkpoint, column.Value)),
            Valid = valid,
            Rearranged = rearranged,
            Empty = ContractRow.Load(_mlContext, []),
            Invalid = new Dictionary<string, IDataView>
            {
                ["missing"] = Through(valid, _mlContext.Transforms.DropColumns(input)),
                ["number"] = Replaced("Number"),
                ["truth value"] = Replaced("Truth"),
                ["one byte"] = Replaced("Byte"),
                ["vector of numbers"] = Replaced("Slots"),
                ["vector of signed bytes"] = Replaced("SignedBytes"),
                ["vector of texts"] = Replaced("Words"),
                ["key"] = Replaced("Key"),
                ["vector of keys"] = Replaced("Keys"),
            },
            Reference = _mlContext.Transforms.ResizeImages("Resized", 8, 8, input),
            ReferenceInput = Replaced("Image"),
            MapperTolerance = batchSize == 1 ? 0 : Tolerance,
            IsOneStep = !isChain,
        };

        IDataView Replaced(string by) => Through(valid, _mlContext.Transforms.CopyColumns(input, by));
    }

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
