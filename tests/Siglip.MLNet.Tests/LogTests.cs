using System.Text.RegularExpressions;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

[TestClass]
public sealed class LogTests
{
    private readonly MLContext _mlContext = new(seed: 1);
    private readonly List<LoggingEventArgs> _entries = [];

    public LogTests() => _mlContext.Log += (_, entry) =>
    {
        if (entry.Source.Contains("Siglip", StringComparison.Ordinal))
            _entries.Add(entry);
    };

    [TestMethod]
    public void Loading_says_which_model_how_large_where_and_whether_it_is_shared()
    {
        IDataView data = Data(_mlContext);
        string folder = SaveCheckpoint("logged", Config, seed: 77);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", folder).Fit(data);
        AssertOne(ChannelMessageKind.Info, $@"Model '{Regex.Escape(folder)}': 0\.0 million parameters in Float32, on cpu, loaded in \d+\.\d\d s\.");

        using var second = (SiglipImageFeaturizingTransformer)EstimatorWorkout.SaveAndLoad(_mlContext, model, data.Schema);
        AssertOne(ChannelMessageKind.Info, @"Model 'the saved model': 0\.0 million parameters in Float32, on cpu, shared with others in this process in \d+\.\d\d s\.");
    }

    [TestMethod]
    public void A_pass_over_the_data_says_what_was_done_and_how_fast()
    {
        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { BatchSize = 3 }).Fit(data);
        IDataView transformed = model.Transform(data);

        _ = transformed.GetColumn<string>("Name").ToArray();
        Assert.IsEmpty(Matching(ChannelMessageKind.Info, "images"), "no embedding is wanted");
        Vectors(transformed, "Embedding");
        Assert.HasCount(2, Matching(ChannelMessageKind.Trace, @"^3 images in [\d,]+ ms: 3 in one forward pass\.$"));
        Assert.HasCount(1, Matching(ChannelMessageKind.Trace, @"^1 images in [\d,]+ ms: 1 in one forward pass\.$"));
        AssertOne(ChannelMessageKind.Info, @"7 images in \d+\.\d\d s, [\d,]+\.\d images/s: 7 in 3 forward passes, on cpu\.");
    }

    [TestMethod]
    public void A_cursor_that_is_left_early_says_how_far_it_came()
    {
        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { BatchSize = 2 }).Fit(data);
        IDataView transformed = model.Transform(data);
        using (DataViewRowCursor cursor = transformed.GetRowCursor([transformed.Schema["Embedding"]]))
        {
            for (int i = 0; i < 3; i++)
                Assert.IsTrue(cursor.MoveNext());
        }

        AssertOne(ChannelMessageKind.Info, @"4 images in .*: 4 in 2 forward passes, on cpu\.");
    }

    [TestMethod]
    public void Missing_images_are_counted_at_the_end_and_the_first_is_named()
    {
        IDataView data = Data(_mlContext, [Images[0], "no-such-file.png", Images[1], Images[2], "another.png"]);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with
        {
            BatchSize = 2,
            BadImages = BadImageHandling.Missing,
        }).Fit(data);
        Vectors(model.Transform(data), "Embedding");

        AssertOne(ChannelMessageKind.Warning,
            @"2 of 5 images cannot be read, their embeddings are NaN\. The first: Row 1, column 'Path': The image '.*no-such-file\.png' does not exist\. Check the path\.");
        AssertOne(ChannelMessageKind.Info, @"5 images in .*: 4 in 2 forward passes, 2 bad, on cpu\.");
    }

    [TestMethod]
    public void An_image_whose_reading_throws_is_named_also_where_ML_NET_hides_the_exception()
    {
        IDataView data = Data(_mlContext, [Images[0], "no-such-file.png", "another.png", Images[1]]);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { BatchSize = 2 }).Fit(data);
        var exception = Assert.Throws<Exception>(() => Vectors(_mlContext.Data.Cache(model.Transform(data)), "Embedding"));
        Assert.DoesNotContain("no-such-file", exception.Message);

        AssertOne(ChannelMessageKind.Warning,
            @"Row 1, column 'Path': The image '.*no-such-file\.png' does not exist\. Check the path\. Reading its embedding throws\.");
    }

    [TestMethod]
    public void Images_from_the_cache_are_counted()
    {
        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { BatchSize = 4 }).Fit(data);
        using SiglipEmbeddingCache cache = _mlContext.CacheSiglipEmbeddings();
        Vectors(model.Transform(data), "Embedding");
        Vectors(model.Transform(data), "Embedding");

        AssertOne(ChannelMessageKind.Info, @"7 images in .*: 0 in 0 forward passes, 7 from the embedding cache, on cpu\.");
    }

    [TestMethod]
    public void With_the_cache_a_second_pass_is_no_reason_for_a_warning()
    {
        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding))).Fit(data);
        IDataView transformed = model.Transform(data);
        using (_mlContext.CacheSiglipEmbeddings())
        {
            Vectors(transformed, "Embedding");
            Vectors(transformed, "Embedding");
        }

        Vectors(transformed, "Embedding");
        Assert.IsEmpty(Matching(ChannelMessageKind.Warning, ""));
        Vectors(transformed, "Embedding");
        AssertOne(ChannelMessageKind.Warning, "The same images are embedded a second time.*AppendCacheCheckpoint.*CacheSiglipEmbeddings.*");
    }

    private LoggingEventArgs[] Matching(ChannelMessageKind kind, string pattern) =>
        [.. _entries.Where(entry => entry.Kind == kind && Regex.IsMatch(entry.RawMessage, pattern))];

    private void AssertOne(ChannelMessageKind kind, string pattern) =>
        Assert.HasCount(1, Matching(kind, $"^{pattern}$"), $"{pattern} in:\n{string.Join('\n', _entries.Select(entry => $"{entry.Kind} {entry.RawMessage}"))}");
}
