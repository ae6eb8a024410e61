using Microsoft.ML;
using Siglip.Core;
using Siglip.Core.Tests;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

/// <summary>Models of the Hugging Face hub, by their ids, in a cache that Python filled.</summary>
[TestClass]
public sealed class HubTests
{
    private const string Id = "test/tiny";
    private static readonly string First = new('1', 40), Second = new('2', 40);

    private readonly MLContext _mlContext = new(0);

    [TestMethod]
    public void A_model_of_the_hub_embeds_as_its_folder_does()
    {
        using var cache = new HubVariables(("HF_HUB_CACHE", Cache("embeds")));
        IDataView data = Data(_mlContext);
        using var byId = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", model: Id, output: SiglipOutputKind.PooledEmbedding).Fit(data);
        using var byFolder = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", model: Checkpoint, output: SiglipOutputKind.PooledEmbedding).Fit(data);
        AreSame(Vectors(byFolder.Transform(data), "Embedding"), Vectors(byId.Transform(data), "Embedding"));
    }

    [TestMethod]
    public void A_model_saved_without_weights_names_the_commit_and_is_loaded_at_that_one()
    {
        string folder = Cache("by-reference");
        using var cache = new HubVariables(("HF_HUB_CACHE", folder));
        IDataView data = Data(_mlContext);
        var options = Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { Model = Id, Offline = true, EmbedWeights = false };
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data);
        string path = NewPath("hub-by-reference.zip");
        _mlContext.Model.Save(model, data.Schema, path);

        Add(folder, Second, CheckpointWithoutHead); // main is another one now
        using (var loaded = (SiglipImageFeaturizingTransformer)_mlContext.Model.Load(path, out _))
        {
            Assert.AreEqual($"{Id}@{First}", loaded.Settings.Model);
            AreSame(Vectors(model.Transform(data), "Embedding"), Vectors(loaded.Transform(data), "Embedding"));
        }

        Directory.Delete(folder, recursive: true);
        Exception gone = Assert.Throws<Exception>(() => _mlContext.Model.Load(path, out _));
        while (gone is System.Reflection.TargetInvocationException)
            gone = gone.InnerException!;
        Assert.IsInstanceOfType<FileNotFoundException>(gone);
        StringAssert.StartsWith(gone.Message, $"Nothing is fetched in offline mode, and '{Id}@{First}' is not in the cache '{folder}'.");
    }

    [TestMethod]
    public void What_the_estimator_checked_is_what_it_fits()
    {
        string folder = Cache("checked");
        using var cache = new HubVariables(("HF_HUB_CACHE", folder));
        IDataView data = Data(_mlContext);
        var estimator = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", model: Id, output: SiglipOutputKind.PooledEmbedding);
        Add(folder, Second, CheckpointWithoutHead); // has no pooled embedding
        using SiglipImageFeaturizingTransformer transformer = estimator.Fit(data);
        Assert.AreEqual($"{Id}@{First}", transformer.Settings.Model);
    }

    [TestMethod]
    public void A_revision_chooses_the_version()
    {
        string folder = Cache("revision");
        using var cache = new HubVariables(("HF_HUB_CACHE", folder));
        Add(folder, Second, CheckpointWithoutHead, "headless");
        var options = Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { Model = Id, Revision = "headless" };
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => _mlContext.Transforms.SiglipFeaturizeImage(options)).Message, $"'{Id}@{Second}'");
        _ = _mlContext.Transforms.SiglipFeaturizeImage(options with { Revision = First });
    }

    [TestMethod]
    public void The_trainer_takes_a_model_of_the_hub()
    {
        using var cache = new HubVariables(("HF_HUB_CACHE", Cache("trainer")));
        _ = _mlContext.MulticlassClassification.Trainers.SiglipImageClassification("Label", "Path", new SiglipImageClassificationOptions { Model = Id, Revision = "main", Offline = true });
    }

    private static string Cache(string name)
    {
        string folder = NewPath($"cache-{name}");
        Add(folder, First, Checkpoint);
        return folder;
    }

    private static void Add(string cache, string commit, string checkpoint, string branch = "main") =>
        PythonCache.Write(cache, Id, commit, PlayRepository.FilesOf(checkpoint), branch);
}
