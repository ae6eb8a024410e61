using System.Runtime.CompilerServices;
using TorchSharp;

namespace Siglip.Core.Tests;

/// <summary>Each test makes weights of its own: models that other tests have in use would be shared.</summary>
[TestClass]
public sealed class ModelUseTests
{
    private static readonly SiglipVisionConfig Config = new()
    {
        HiddenSize = 16,
        IntermediateSize = 32,
        NumHiddenLayers = 2,
        NumAttentionHeads = 2,
        ImageSize = 16,
        PatchSize = 4,
    };

    private static readonly string Image = ReferenceModels.PathOf("preprocess", "images", "rgb.png");

    [TestMethod]
    public void Embedders_of_equal_weights_share_one_model_until_the_last_is_disposed()
    {
        using TemporaryFolder folder = NewCheckpoint();
        using TemporaryFolder copy = new();
        foreach (string file in Directory.GetFiles(folder.Path))
            File.Copy(file, copy.File(Path.GetFileName(file)));
        SiglipImageEmbedder first = SiglipImageEmbedder.FromPretrained(folder.Path);
        SiglipImageEmbedder second = SiglipImageEmbedder.FromPretrained(copy.Path, new SiglipImageEmbedderOptions { Normalize = true, BatchSize = 3 });
        SiglipImageEmbedder third = SiglipImageEmbedder.FromPretrained(folder.Path, new SiglipImageEmbedderOptions
        {
            Output = SiglipEmbeddingOutputs.MeanPatchEmbedding,
            InterpolatePositionEncoding = true,
            ImageHeight = 24,
            ImageWidth = 20,
        });
        float[] expected = first.Embed(Image);
        torch.Tensor weight = first.Model.parameters().First();

        Assert.IsFalse(first.SharesModel);
        Assert.IsTrue(second.SharesModel);
        Assert.AreSame(first.Model, second.Model);
        Assert.AreSame(first.Model, third.Model);

        first.Dispose();
        first.Dispose(); // no use of another embedder
        third.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(() => first.Embed(Image));
        float[] normalized = second.Embed(Image);
        double length = Math.Sqrt(expected.Sum(value => (double)value * value));
        for (int i = 0; i < expected.Length; i++)
            Assert.AreEqual(expected[i] / length, normalized[i], 1e-6);
        Assert.IsFalse(weight.IsInvalid);

        second.Dispose();
        Assert.IsTrue(weight.IsInvalid, "the last user is gone");
        using SiglipImageEmbedder again = SiglipImageEmbedder.FromPretrained(folder.Path);
        Assert.IsFalse(again.SharesModel);
        CollectionAssert.AreEqual(expected, again.Embed(Image));
    }

    [TestMethod]
    public void Other_files_with_the_same_vision_tower_share_it()
    {
        using SiglipImageEmbedder single = SiglipImageEmbedder.FromPretrained(ReferenceModels.Folder("vision_only"));
        using TemporaryFolder saved = new();
        using (SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only")))
            model.SavePretrained(saved.Path); // another file: other metadata, perhaps another order
        using SiglipImageEmbedder copy = SiglipImageEmbedder.FromPretrained(saved.Path);

        Assert.AreSame(single.Model, copy.Model);
    }

    [TestMethod]
    public void Another_precision_or_other_weights_are_another_model()
    {
        using TemporaryFolder folder = NewCheckpoint(), other = NewCheckpoint();
        using SiglipImageEmbedder one = SiglipImageEmbedder.FromPretrained(folder.Path);
        using SiglipImageEmbedder half = SiglipImageEmbedder.FromPretrained(folder.Path, new SiglipImageEmbedderOptions { Precision = SiglipPrecision.BFloat16 });
        using SiglipImageEmbedder different = SiglipImageEmbedder.FromPretrained(other.Path);
        Assert.AreNotSame(one.Model, half.Model);
        Assert.AreNotSame(one.Model, different.Model);
        Assert.AreEqual(one.ModelSha256, half.ModelSha256);
        Assert.AreNotEqual(one.ModelSha256, different.ModelSha256);

        folder.Replace("config.json", "\"layer_norm_eps\": 1E-06", "\"layer_norm_eps\": 0.01"); // the same weights, which compute something else
        using SiglipImageEmbedder changed = SiglipImageEmbedder.FromPretrained(folder.Path);
        Assert.AreNotSame(one.Model, changed.Model);
    }

    [TestMethod]
    public void A_model_that_the_user_loaded_is_the_users_own()
    {
        using TemporaryFolder folder = NewCheckpoint();
        using SiglipImageEmbedder shared = SiglipImageEmbedder.FromPretrained(folder.Path);
        SiglipVisionModel model = SiglipVisionModel.FromPretrained(folder.Path);
        var own = new SiglipImageEmbedder(model, model.ProcessorConfig!);

        Assert.AreSame(model, own.Model);
        Assert.AreNotSame(shared.Model, own.Model);
        Assert.IsNull(own.ModelSha256);
        own.Dispose();
        Assert.HasCount(Config.HiddenSize, shared.Embed(Image));
    }

    [TestMethod]
    public void Threads_that_load_at_once_load_one_model()
    {
        using TemporaryFolder folder = NewCheckpoint();
        var embedders = new SiglipImageEmbedder[8];
        Parallel.For(0, embedders.Length, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i => embedders[i] = SiglipImageEmbedder.FromPretrained(folder.Path));

        Assert.HasCount(1, embedders.Select(embedder => embedder.Model).Distinct().ToArray());
        Assert.AreEqual(1, embedders.Count(embedder => !embedder.SharesModel));
        torch.Tensor weight = embedders[0].Model.parameters().First();
        Parallel.ForEach(embedders, embedder => embedder.Dispose());
        Assert.IsTrue(weight.IsInvalid);
    }

    [TestMethod]
    public void Threads_that_load_embed_and_dispose_in_any_order_get_the_right_numbers()
    {
        using TemporaryFolder folder = NewCheckpoint();
        float[] expected;
        using (SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(folder.Path))
            expected = embedder.Embed(Image);
        int loaded = 0;
        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 8 }, thread =>
        {
            for (int round = 0; round < 10; round++)
            {
                SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(folder.Path);
                if (!embedder.SharesModel)
                    Interlocked.Increment(ref loaded);
                CollectionAssert.AreEqual(expected, embedder.Embed(Image));
                if ((thread + round) % 3 == 0)
                    Thread.Sleep(1); // so that now and then all are gone
                embedder.Dispose();
            }
        });

        Assert.IsGreaterThanOrEqualTo(1, loaded);
        using SiglipImageEmbedder last = SiglipImageEmbedder.FromPretrained(folder.Path);
        Assert.IsFalse(last.SharesModel, "all uses have ended");
        CollectionAssert.AreEqual(expected, last.Embed(Image));
    }

    [TestMethod]
    public void Models_of_forgotten_embedders_are_collected()
    {
        using TemporaryFolder folder = NewCheckpoint();
        Forget(folder.Path);
        for (int i = 0; i < 10; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(folder.Path);
        Assert.IsFalse(embedder.SharesModel);

        [MethodImpl(MethodImplOptions.NoInlining)]
        static void Forget(string folder)
        {
            SiglipImageEmbedder disposed = SiglipImageEmbedder.FromPretrained(folder);
            Assert.IsTrue(SiglipImageEmbedder.FromPretrained(folder).SharesModel); // never disposed
            disposed.Dispose();
        }
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void After_a_load_that_failed_the_next_one_works(bool anotherOfTheKindIsInUse)
    {
        using TemporaryFolder folder = NewCheckpoint(), otherFolder = NewCheckpoint();
        using SiglipImageEmbedder? other = anotherOfTheKindIsInUse ? SiglipImageEmbedder.FromPretrained(otherFolder.Path) : null;
        byte[] weights = File.ReadAllBytes(folder.File("model.safetensors"));
        var stream = new FailingStream(weights);
        using (var checkpoint = SiglipCheckpoint.FromStreams(
            File.ReadAllText(folder.File("config.json")), File.ReadAllText(folder.File("preprocessor_config.json")), stream, "the stream"))
        {
            string hash = checkpoint.ComputeModelSha256();
            stream.BytesLeft = (weights.Length / 2) + (anotherOfTheKindIsInUse ? weights.Length : 0); // then they are read for their hash first
            Assert.ThrowsExactly<IOException>(() => SiglipImageEmbedder.Load(checkpoint, new SiglipImageEmbedderOptions()));
            stream.BytesLeft = long.MaxValue;
            Assert.AreEqual(hash, checkpoint.ComputeModelSha256());
        }

        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(folder.Path);
        Assert.IsFalse(embedder.SharesModel);
        Assert.HasCount(Config.HiddenSize, embedder.Embed(Image));
    }

    [TestMethod]
    public void A_load_that_fails_after_its_weights_leaves_no_use_behind()
    {
        using TemporaryFolder folder = NewCheckpoint();
        SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(folder.Path);
        torch.Tensor weight = embedder.Model.parameters().First();
        Assert.Throws<ArgumentException>(
            () => SiglipImageEmbedder.FromPretrained(folder.Path, new SiglipImageEmbedderOptions { ImageBackend = (SiglipImageBackend)7 }));

        embedder.Dispose();
        Assert.IsTrue(weight.IsInvalid, "the last user is gone");
    }

    [TestMethod]
    public void A_dispose_scope_around_one_users_loading_does_not_end_the_others_model()
    {
        using TemporaryFolder folder = NewCheckpoint();
        SiglipImageEmbedder first;
        using (torch.NewDisposeScope())
            first = SiglipImageEmbedder.FromPretrained(folder.Path, new SiglipImageEmbedderOptions { Precision = SiglipPrecision.BFloat16 });
        using (first)
        {
            using SiglipImageEmbedder second = SiglipImageEmbedder.FromPretrained(folder.Path, new SiglipImageEmbedderOptions { Precision = SiglipPrecision.BFloat16 });
            Assert.AreSame(first.Model, second.Model);
            Assert.HasCount(Config.HiddenSize, second.Embed(Image));
        }
    }

    [TestMethod]
    public void A_forgotten_embedder_that_a_finalizer_disposes_does_not_end_the_sharing_of_others()
    {
        using TemporaryFolder folder = NewCheckpoint();
        using var loadedAgain = new ManualResetEventSlim();
        Forget(folder.Path, loadedAgain);
        GC.Collect(); // the finalizer waits on its thread
        using SiglipImageEmbedder second = SiglipImageEmbedder.FromPretrained(folder.Path);
        Assert.IsFalse(second.SharesModel);
        loadedAgain.Set();
        GC.WaitForPendingFinalizers();

        using SiglipImageEmbedder third = SiglipImageEmbedder.FromPretrained(folder.Path);
        Assert.AreSame(second.Model, third.Model);

        [MethodImpl(MethodImplOptions.NoInlining)]
        static void Forget(string folder, ManualResetEventSlim loadedAgain) => _ = new DisposedByFinalizer(SiglipImageEmbedder.FromPretrained(folder), loadedAgain);
    }

    private static TemporaryFolder NewCheckpoint()
    {
        TorchNative.Ensure();
        var folder = new TemporaryFolder();
        using var model = new SiglipVisionModel(Config);
        using (torch.no_grad())
        using (torch.NewDisposeScope())
        {
            foreach (torch.Tensor parameter in model.state_dict().Values) // random: every checkpoint is another
                parameter.add_(torch.randn_like(parameter).mul_(0.3));
        }

        model.SavePretrained(folder.Path, new SiglipImageProcessorConfig { Height = Config.ImageSize, Width = Config.ImageSize });
        return folder;
    }

    private sealed class DisposedByFinalizer(SiglipImageEmbedder embedder, ManualResetEventSlim signal)
    {
        ~DisposedByFinalizer()
        {
            signal.Wait();
            embedder.Dispose();
        }
    }

    private sealed class FailingStream(byte[] bytes) : MemoryStream(bytes, writable: false)
    {
        public long BytesLeft { get; set; } = long.MaxValue;

        public override int Read(Span<byte> buffer) =>
            (BytesLeft -= buffer.Length) < 0 ? throw new IOException("The disk is gone.") : base.Read(buffer);
    }
}
