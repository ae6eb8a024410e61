using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests.Neighbours;

/// <summary>What the tests of this folder compare with.</summary>
internal static class Neighbourhood
{
    /// <summary>The columns of a view from a file of ML.NET's: the same values, and no featurizer behind them. What comes after it has to make the same of both.</summary>
    public static IDataView Plain(MLContext mlContext, IDataView view)
    {
        string path = NewPath($"{Guid.NewGuid():N}.idv");
        using (FileStream stream = File.Create(path))
            mlContext.Data.SaveAsBinary(view, stream);
        return mlContext.Data.LoadFromBinary(path);
    }

    /// <summary>The values of a column of float vectors or scalars.</summary>
    public static float[][] Values(IDataView view, string column)
    {
        var rows = new List<float[]>();
        using DataViewRowCursor cursor = view.GetRowCursor([view.Schema[column]]);
        while (cursor.MoveNext())
            rows.Add(EstimatorWorkout.ReadVector(cursor, view.Schema[column]));
        return [.. rows];
    }

    /// <summary>What the embedder itself gives of a checkpoint, image by image.</summary>
    public static float[][] Embeddings(string checkpoint, SiglipOutputKind kind, IEnumerable<RgbImage> images)
    {
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(
            checkpoint, new SiglipImageEmbedderOptions { Output = FeaturizedSchema.FlagOf(kind) });
        return [.. images.Select(embedder.Embed)];
    }

    /// <summary>The pictures that a step of ML.NET's gives.</summary>
    public static IReadOnlyList<RgbImage> Pictures(IDataView view, string column)
    {
        var pictures = new List<RgbImage>();
        using DataViewRowCursor cursor = view.GetRowCursor([view.Schema[column]]);
        ValueGetter<MLImage> getter = cursor.GetGetter<MLImage>(view.Schema[column]);
        MLImage image = null!;
        while (cursor.MoveNext())
        {
            getter(ref image);
            pictures.Add(MLImagePixels.ToRgb(image));
        }

        image?.Dispose();
        return pictures;
    }

    public static SiglipImageFeaturizingTransformer FeaturizerOf(ITransformer model) => AllTransformers(model).OfType<SiglipImageFeaturizingTransformer>().Single();

    /// <summary>The number of forward passes that take some images once.</summary>
    public static int Passes(int images, int batchSize = 16) => (images + batchSize - 1) / batchSize;

    private static IEnumerable<ITransformer> AllTransformers(ITransformer model) =>
        model is IEnumerable<ITransformer> chain ? chain.SelectMany(AllTransformers) : [model];
}
