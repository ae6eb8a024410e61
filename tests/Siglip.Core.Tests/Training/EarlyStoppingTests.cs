using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class EarlyStoppingTests
{
    private static readonly SiglipTrainingOptions Plain = new() { Epochs = 8, BatchSize = 4, LearningRate = 1e-3, EarlyStoppingPatience = 2, Seed = 4 };

    [TestMethod]
    [DataRow(new[] { 3, 2, 2.5, 1, 1.5, 1.2, 0.1, 0.1 }, 2, 0, new[] { 1, 2, 2, 4, 4, 4 })]
    [DataRow(new[] { 3, 2, 2.5, 1, 1.5, 1.2, 0.1, 0.1 }, 2, 0.9, new[] { 1, 2, 2, 4, 4, 4 })]
    [DataRow(new[] { 3, 2, 2.5, 1, 1.5, 1.2, 0.1, 0.2 }, 3, 0, new[] { 1, 2, 2, 4, 4, 4, 7, 7 })] // all epochs, and still the best one's weights
    [DataRow(new[] { 3, double.NaN, double.PositiveInfinity, 1, 1 }, 2, 0, new[] { 1, 1, 1 })]
    [DataRow(new[] { double.NaN, 3, 4, 5 }, 2, 0, new[] { 0, 2, 2, 2 })]
    public void The_training_ends_after_so_many_epochs_without_a_lower_loss_with_the_weights_of_the_best(
        double[] losses, int patience, double emaDecay, int[] bestEpochs)
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 4);
        List<SiglipTrainingProgress> ends = [];
        List<float[]> weights = [];

        using SiglipForImageClassification model = Train(
            Plain with { EarlyStoppingPatience = patience, EmaDecay = emaDecay }, dataset, losses, (trained, state) =>
            {
                if (!state.EndOfEpoch)
                    return;
                ends.Add(state);
                weights.Add(Weights(trained));
            });

        CollectionAssert.AreEqual(bestEpochs, ends.Select(state => state.BestEpoch ?? 0).ToArray());
        CollectionAssert.AreEqual(weights[bestEpochs[^1] - 1], Weights(model));
        if (bestEpochs[^1] < ends.Count)
            CollectionAssert.AreNotEqual(weights[^1], Weights(model));
        Assert.IsFalse(model.training);
    }

    [TestMethod]
    [DataRow(null, 4, 0)]
    [DataRow(null, 4, 0.9)]
    [DataRow(1, 0, 0.9)]
    [DataRow(0, 0, 0)]
    public void With_low_rank_additions_and_with_few_layers_too(int? trainedLayers, int rank, double emaDecay)
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 4);
        List<float[]> weights = [];
        SiglipTrainingOptions options = Plain with
        {
            TrainedLayers = trainedLayers,
            Lora = rank == 0 ? null : new SiglipLoraOptions { Rank = rank },
            EmaDecay = emaDecay,
        };

        using SiglipForImageClassification model = Train(options, dataset, [3, 1, 2, 2, 2], (trained, state) =>
        {
            if (state.EndOfEpoch)
                weights.Add(Weights(trained));
        });

        Assert.HasCount(4, weights);
        CollectionAssert.AreEqual(weights[1], Weights(model));
        CollectionAssert.AreNotEqual(weights[^1], Weights(model));
    }

    [TestMethod]
    public void Without_any_finite_loss_the_training_ends_with_its_last_weights()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 4);
        List<float[]> weights = [];

        using SiglipForImageClassification model = Train(Plain, dataset, [double.NaN, double.NaN, 1], (trained, state) =>
        {
            Assert.IsNull(state.BestEpoch);
            weights.Add(Weights(trained));
        });

        Assert.HasCount(4, weights); // two epochs of two steps
        CollectionAssert.AreEqual(weights[^1], Weights(model));
    }

    [TestMethod]
    public void Killed_and_resumed_it_ends_in_the_same_epoch_with_the_same_weights_to_the_bit()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("images"), imagesPerClass: 4);
        SiglipTrainingOptions options = Plain with { StatePath = folder.File("state.safetensors"), StateInterval = 1, EmaDecay = 0.9 };
        double[] losses = [3, 2, 2.5, 1, 1.5, 1.2, 0.1, 0.1];
        using SiglipForImageClassification whole = Train(options, dataset, losses, (_, _) => { });
        float[] expected = Weights(whole);
        using (SiglipForImageClassification again = Train(options with { Resume = true }, dataset, losses, (_, _) => Assert.Fail("a step was done")))
            CollectionAssert.AreEqual(expected, Weights(again), "ended");

        foreach (int killed in (int[])[1, 8, 9, 12]) // in the first epoch, at the end of the best, after it, at the end of the last
        {
            File.Delete(options.StatePath!);
            Assert.ThrowsExactly<TimeZoneNotFoundException>(() => Train(options, dataset, losses, (_, state) =>
            {
                if (state.Step == killed)
                    throw new TimeZoneNotFoundException();
            }));
            var last = 0;
            using SiglipForImageClassification resumed = Train(options with { Resume = true }, dataset, losses, (_, state) => last = state.Step);
            Assert.AreEqual(12, last, $"killed in step {killed}");
            CollectionAssert.AreEqual(expected, Weights(resumed), $"killed in step {killed}");
        }
    }

    [TestMethod]
    public void A_state_goes_on_with_as_many_validation_images_only()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("images"), imagesPerClass: 2), more = ColouredImages.Write(folder.File("more"), imagesPerClass: 3);
        SiglipTrainingOptions options = Plain with { Epochs = 1, StatePath = folder.File("state.safetensors") };
        using SiglipForImageClassification model = NewModel(dataset);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, options);
        using var resumed = new SiglipTrainer(model, ColouredImages.Processor, options with { Resume = true });
        trainer.Train(dataset, dataset);

        Assert.Contains("validation image count was 4; now it is 6", Assert.ThrowsExactly<ArgumentException>(() => resumed.Train(dataset, more)).Message);
    }

    [TestMethod]
    public void Without_validation_images_it_is_refused()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 2);
        using SiglipForImageClassification model = NewModel(dataset);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, Plain);

        Assert.StartsWith("EarlyStoppingPatience is set, but there are no validation images", Assert.ThrowsExactly<ArgumentException>(() => trainer.Train(dataset)).Message);
    }

    [TestMethod]
    public void It_leaves_no_tensor_behind()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 2);
        using SiglipForImageClassification model = NewModel(dataset);

        Assert.AreEqual(0, TensorCount.LeftBy(() =>
        {
            using var trainer = new SiglipTrainer(model, ColouredImages.Processor, Plain with { Epochs = 2 });
            trainer.Train(dataset, dataset);
        }));
    }

    private static SiglipForImageClassification Train(
        SiglipTrainingOptions options, ImageFolderDataset dataset, double[] losses, Action<SiglipForImageClassification, SiglipTrainingProgress> report)
    {
        SiglipForImageClassification model = NewModel(dataset);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, options);
        var training = new EpochSource(TrainingSource.ToLearnFrom(dataset, new SiglipImageProcessor(ColouredImages.Processor), options));
        trainer.Train(training, new ScriptedSource(training, losses), new Report(state => report(model, state)), default);
        return model;
    }

    private static SiglipForImageClassification NewModel(ImageFolderDataset dataset)
    {
        TorchNative.Ensure();
        manual_seed(1);
        return new SiglipForImageClassification(ColouredImages.Config, dataset.Labels);
    }

    private static float[] Weights(SiglipForImageClassification model)
    {
        using DisposeScope scope = NewDisposeScope();
        return [.. model.named_parameters().SelectMany(entry => entry.parameter.detach().data<float>().ToArray())];
    }

    private sealed class Report(Action<SiglipTrainingProgress> action) : IProgress<SiglipTrainingProgress>
    {
        void IProgress<SiglipTrainingProgress>.Report(SiglipTrainingProgress value) => action(value);
    }

    /// <summary>Knows which epoch goes on.</summary>
    private sealed class EpochSource(ITrainingSource source) : ITrainingSource
    {
        public int Epoch { get; private set; }

        public int Count => source.Count;

        public IReadOnlyList<string> Labels => source.Labels;

        public IReadOnlyCollection<string> SkippedImages => source.SkippedImages;

        public IEnumerable<TrainingBatch> Batches(int epoch, int firstBatch, CancellationToken cancellationToken)
        {
            Epoch = epoch;
            return source.Batches(epoch, firstBatch, cancellationToken);
        }
    }

    /// <summary>A validation whose loss is prescribed, epoch by epoch: cross-entropy is proportional to the targets, and these steps change the model too little to
    /// matter beside.</summary>
    private sealed class ScriptedSource(EpochSource training, double[] losses) : ITrainingSource
    {
        public int Count => 1;

        public IReadOnlyList<string> Labels => training.Labels;

        public IReadOnlyCollection<string> SkippedImages => [];

        public IEnumerable<TrainingBatch> Batches(int epoch, int firstBatch, CancellationToken cancellationToken)
        {
            float factor = (float)losses[training.Epoch - 1];
            yield return new TrainingBatch(zeros(1, 3, 8, 8), full(1, training.Labels.Count, factor));
        }
    }
}
