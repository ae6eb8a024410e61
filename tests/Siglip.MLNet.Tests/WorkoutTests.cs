using Microsoft.ML;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

[TestClass]
public sealed class WorkoutTests
{
    private readonly MLContext _mlContext = new(seed: 1);

    [TestMethod]
    [DataRow("Path")]
    [DataRow("Bytes")]
    [DataRow("Image")]
    public void The_estimator_passes_ML_NETs_workout(string input) => Run(Options(input, EveryKind));

    [TestMethod]
    [DataRow("Path")]
    [DataRow("Bytes")]
    [DataRow("Image")]
    public void The_estimator_of_a_model_with_variable_resolution_passes_ML_NETs_workout(string input) =>
        Run(Options(input, EveryKind) with { Model = NaFlex, MaxNumPatches = 10 });

    [TestMethod]
    public void The_estimator_with_another_image_size_passes_ML_NETs_workout() => Run(Options("Path", EveryKind) with
    {
        InterpolatePositionEncoding = true,
        ImageHeight = 12,
        ImageWidth = 29,
    });

    private static readonly (string, SiglipOutputKind)[] EveryKind = [("Patches", SiglipOutputKind.PatchEmbeddings), ("Pooled", SiglipOutputKind.PooledEmbedding),
        ("Mean", SiglipOutputKind.MeanPatchEmbedding), ("PatchCount", SiglipOutputKind.PatchCount), ("PatchGrid", SiglipOutputKind.PatchGrid)];

    private void Run(SiglipImageFeaturizingOptions options)
    {
        options = options with { BatchSize = 3 };
        IDataView invalid = _mlContext.Data.LoadFromEnumerable(new[] { new WrongRow() });
        IDataView rows = Data(_mlContext);
        IDataView valid = _mlContext.Transforms.LoadImages("Image", "", "Path")
            .Append(_mlContext.Transforms.Conversion.MapValueToKey("Key", "Group")) // a column with annotations
            .Fit(rows).Transform(rows);

        EstimatorWorkout.Run(_mlContext, _mlContext.Transforms.SiglipFeaturizeImage(options), valid, invalid);
    }

    [TestMethod]
    public void A_chain_with_the_estimator_passes_ML_NETs_workout()
    {
        var chain = _mlContext.Transforms.LoadImages("Image", "", "Path")
            .Append(_mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Image", Checkpoint))
            .Append(_mlContext.Transforms.DropColumns("Image"));
        IDataView invalid = _mlContext.Data.LoadFromEnumerable(new[] { new WrongRow() });

        EstimatorWorkout.Run(_mlContext, chain, Data(_mlContext), invalid);
    }

    private sealed class WrongRow
    {
        public float Path { get; set; }

        public int Bytes { get; set; }

        public bool Image { get; set; }
    }
}
