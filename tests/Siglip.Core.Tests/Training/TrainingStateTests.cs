using System.Security.Cryptography;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class TrainingStateTests
{
    // Everything that has a state of its own: dropout, augmentation, order, moments, average, schedule. 4 steps an epoch, the last of them smaller.
    private static readonly SiglipTrainingOptions Everything = new()
    {
        Epochs = 3,
        BatchSize = 2,
        GradientAccumulation = 2,
        LearningRate = 1e-2,
        EmaDecay = 0.9,
        LabelSmoothing = 0.1,
        MaxGradientNorm = double.PositiveInfinity,
        Seed = 11,
    };

    [TestMethod]
    [DataRow(SiglipOptimizer.AdamW, 0)]
    [DataRow(SiglipOptimizer.Sgd, 3)]
    [DataRow(SiglipOptimizer.AdamW, 1)]
    public void A_training_killed_at_any_step_and_resumed_ends_with_the_same_weights_to_the_bit(SiglipOptimizer optimizer, int interval)
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("images"), imagesPerClass: 7);
        SiglipTrainingOptions options = Everything with { Optimizer = optimizer, Momentum = 0.9, StatePath = folder.File("state.safetensors"), StateInterval = interval };
        string expected = Train(options with { StatePath = null, StateInterval = 0 }, dataset, folder);

        for (int killed = 1; killed <= 12; killed++)
        {
            File.Delete(options.StatePath!);
            Assert.ThrowsExactly<TimeZoneNotFoundException>(() => Train(options, dataset, folder, state =>
            {
                if (state.Step == killed)
                    throw new TimeZoneNotFoundException(); // ends the training like a power failure: nothing is saved on the way out
            }));

            int saved = Math.Max((killed - 1) / 4 * 4, interval == 0 ? 0 : (killed - 1) / interval * interval); // an epoch has 4 steps
            Assert.AreEqual(saved, TrainingState.PositionIn(options.StatePath!).Step, $"killed in step {killed}");
            Assert.AreEqual(expected, Train(options with { Resume = true }, dataset, folder), $"killed in step {killed}");
        }
    }

    [TestMethod]
    public void A_cancelled_training_saves_its_state_and_goes_on_after_its_last_step()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("images"), imagesPerClass: 7);
        SiglipTrainingOptions options = Everything with { StatePath = folder.File("state.safetensors") };
        string expected = Train(options, dataset, folder);
        var all = new List<SiglipTrainingProgress>();
        Train(options, dataset, folder, all.Add);

        for (int cancelled = 1; cancelled <= 12; cancelled++)
        {
            File.Delete(options.StatePath!);
            using var cancellation = new CancellationTokenSource();
            var steps = new List<SiglipTrainingProgress>();
            Assert.AreEqual(cancelled < 12, IsCancelled(() => Train(options, dataset, folder, state =>
            {
                steps.Add(state);
                if (state.Step == cancelled)
                    cancellation.Cancel();
            }, cancellation.Token)));

            Assert.AreEqual(expected, Train(options with { Resume = true }, dataset, folder, steps.Add), $"cancelled in step {cancelled}");
            CollectionAssert.AreEqual(all.Select(Numbers).ToArray(), steps.Select(Numbers).ToArray(), $"cancelled in step {cancelled}");
        }

        static (int, int, double, double, double, bool) Numbers(SiglipTrainingProgress state) =>
            (state.Epoch, state.Step, state.Loss, state.Accuracy, state.LearningRate, state.EndOfEpoch);
    }

    [TestMethod]
    public void A_training_cancelled_while_it_measures_measures_again_when_it_goes_on()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("images"), imagesPerClass: 7);
        SiglipTrainingOptions options = Everything with { StatePath = folder.File("state.safetensors") };
        string expected = Train(options, dataset, folder);
        File.Delete(options.StatePath!);
        using var cancellation = new CancellationTokenSource();
        var steps = new List<int>();

        using (SiglipForImageClassification model = NewModel(dataset))
        using (var trainer = new SiglipTrainer(model, ColouredImages.Processor, options))
        {
            var validation = new CancellingSource(cancellation, dataset.Labels);
            Assert.ThrowsExactly<OperationCanceledException>(() => trainer.Train(
                TrainingSource.ToLearnFrom(dataset, new SiglipImageProcessor(ColouredImages.Processor), options), validation, new Report(_ => { }), cancellation.Token));
        }

        Assert.AreEqual(expected, Train(options with { Resume = true }, dataset, folder, state => steps.Add(state.EndOfEpoch ? -state.Step : state.Step)));
        CollectionAssert.AreEqual((int[])[-4, 5, 6, 7, -8, 9, 10, 11, -12], steps);
    }

    [TestMethod]
    public void A_finished_training_gives_its_weights_again()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("images"), imagesPerClass: 3);
        SiglipTrainingOptions options = Everything with { StatePath = folder.File("state.safetensors") };
        string expected = Train(options, dataset, folder);

        Assert.AreEqual(expected, Train(options with { Resume = true }, dataset, folder, _ => Assert.Fail("a step was done")));
    }

    [TestMethod]
    public void What_differs_from_the_training_that_wrote_the_state_is_named()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("images"), imagesPerClass: 2);
        SiglipTrainingOptions options = Everything with { StatePath = folder.File("state.safetensors") };
        Train(options, dataset, folder);

        Refused("BatchSize was 2; now it is 3", options with { BatchSize = 3 });
        Refused("LearningRate was 0.01; now it is 0.02", options with { LearningRate = 0.02 });
        Refused("Optimizer was \"AdamW\"; now it is \"Sgd\"", options with { Optimizer = SiglipOptimizer.Sgd });
        Refused("EmaDecay was 0.9; now it is 0", options with { EmaDecay = 0 });
        Refused("MaxGradientNorm was \"Infinity\"; now it is 1", options with { MaxGradientNorm = 1 });
        Refused("Seed was 11; now it is 12", options with { Seed = 12 });
        ImageFolderDataset more = ColouredImages.Write(folder.File("more"), imagesPerClass: 3);
        Refused("image count was 4; now it is 6", options, more);
        using var wider = new SiglipForImageClassification(ColouredImages.Config with { AttentionDropout = 0.2, HiddenSize = 32 }, dataset.Labels);
        Refused("hidden_size was 16; now it is 32", options, model: wider);
        Train(options with { StateInterval = 1, Resume = true }, dataset, folder); // how often it is written decides about nothing

        void Refused(string message, SiglipTrainingOptions other, ImageFolderDataset? images = null, SiglipForImageClassification? model = null)
        {
            using SiglipForImageClassification own = NewModel(dataset);
            using var trainer = new SiglipTrainer(model ?? own, ColouredImages.Processor, other with { Resume = true });
            Assert.Contains(message, Assert.ThrowsExactly<ArgumentException>(() => trainer.Train(images ?? dataset)).Message);
        }
    }

    [TestMethod]
    public void Damaged_and_hostile_states_are_refused_and_the_model_stays_as_it_was()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("images"), imagesPerClass: 2);
        SiglipTrainingOptions options = Everything with { StatePath = folder.File("state.safetensors"), Resume = true };
        Train(options, dataset, folder);
        byte[] good = File.ReadAllBytes(options.StatePath!);
        const string Weight = "exp_avg.classifier.weight";

        Refused("too short", () => File.WriteAllBytes(options.StatePath!, good[..5]));
        Refused("'", () => File.WriteAllBytes(options.StatePath!, good[..^8]));
        Refused("not the state of a training", () => Rewrite((_, metadata) => metadata.Clear()));
        Refused("is not valid JSON", () => Rewrite((_, metadata) => metadata["siglip_training_state"] = "{"));
        Refused("is not valid JSON", () => Replace("\"version\":1", "\"version\":1,\"labels\":[]"));
        Refused("the version is 0, expected 1", () => Rewrite((_, metadata) => metadata["siglip_training_state"] = "{}"));
        Refused("the version is 2, expected 1", () => Replace("\"version\":1", "\"version\":2"));
        Refused("'step' is -1, expected 0 to 3", () => Replace("\"step\":3", "\"step\":-1"));
        Refused("'step' is 99, expected 0 to 3", () => Replace("\"step\":3", "\"step\":99"));
        Refused("'epoch' is 0, expected 1 to 4", () => Replace("\"epoch\":4", "\"epoch\":0"));
        Refused("'epoch' is 5, expected 1 to 4", () => Replace("\"epoch\":4", "\"epoch\":5"));
        Refused("'batch' is 77, expected 0 to 4", () => Replace("\"batch\":0", "\"batch\":77"));
        Refused("'right' is 5, expected 0 to 4", () => Replace("\"right\":0", "\"right\":5"));
        Refused($"lacks '{Weight}'", () => Rewrite((tensors, _) => tensors.Remove(Weight)));
        Refused("has 'more', which this training does not have", () => Rewrite((tensors, _) => tensors["more"] = ones(1)));
        Refused($"has '{Weight}' as Float32 [2, 15], expected Float32 [2, 16]", () => Rewrite((tensors, _) => tensors[Weight] = ones(2, 15)));
        Refused($"has '{Weight}' as Float64 [2, 16], expected Float32 [2, 16]", () => Rewrite((tensors, _) => tensors[Weight] = ones(2, 16, float64)));
        Refused($"has values in '{Weight}' that are not finite", () => Rewrite((tensors, _) => tensors[Weight] = full(2, 16, float.NaN)));
        Refused("'steps.classifier.weight' is -1, expected 0 to 3", () => Rewrite((tensors, _) => tensors["steps.classifier.weight"] = tensor(-1L)));

        void Refused(string message, Action damage)
        {
            File.WriteAllBytes(options.StatePath!, good);
            damage();
            using SiglipForImageClassification model = NewModel(dataset);
            string before = Hash(model, folder);
            using var trainer = new SiglipTrainer(model, ColouredImages.Processor, options);
            Assert.Contains(message, Assert.ThrowsExactly<InvalidDataException>(() => trainer.Train(dataset)).Message);
            Assert.AreEqual(before, Hash(model, folder), message);
        }

        void Replace(string text, string by) => Rewrite((_, metadata) =>
        {
            Assert.Contains(text, metadata["siglip_training_state"]);
            metadata["siglip_training_state"] = metadata["siglip_training_state"].Replace(text, by, StringComparison.Ordinal);
        });

        void Rewrite(Action<Dictionary<string, Tensor>, Dictionary<string, string>> change)
        {
            using DisposeScope scope = NewDisposeScope();
            Dictionary<string, Tensor> tensors;
            Dictionary<string, string> metadata;
            using (SafetensorsFile file = SafetensorsFile.Open(options.StatePath!))
            {
                tensors = file.Tensors.Keys.ToDictionary(name => name, file.Read);
                metadata = new Dictionary<string, string>(file.Metadata);
            }

            change(tensors, metadata);
            SafetensorsFile.Write(options.StatePath!, tensors.Select(pair => (pair.Key, pair.Value)), metadata);
        }
    }

    [TestMethod]
    public void A_state_that_cannot_be_written_is_an_error_before_the_first_step_and_the_model_stays_as_it_was()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("images"), imagesPerClass: 2);
        using SiglipForImageClassification model = NewModel(dataset);
        string before = Hash(model, folder);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, Everything with { StatePath = folder.File("none/state.safetensors") });

        Assert.Contains("cannot be written", Assert.ThrowsExactly<IOException>(() => trainer.Train(dataset)).Message);

        Assert.AreEqual(before, Hash(model, folder));
    }

    [TestMethod]
    public void A_training_that_diverges_leaves_the_state_of_before_and_says_where_it_is()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("images"), imagesPerClass: 7);
        SiglipTrainingOptions options = Everything with { StatePath = folder.File("state.safetensors"), StateInterval = 3 };
        var source = TrainingSource.ToLearnFrom(dataset, new SiglipImageProcessor(ColouredImages.Processor), options);
        string expected = Train(options, dataset, folder);
        File.Delete(options.StatePath!);
        using SiglipForImageClassification model = NewModel(dataset);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, options);

        var error = Assert.ThrowsExactly<InvalidOperationException>(() =>
            trainer.Train(new DivergingSource(source, epoch: 2, batch: 2), null, null, default)); // in step 6

        Assert.StartsWith("The loss of step 6 is NaN, at the learning rate 0.00", error.Message);
        Assert.Contains("Try a lower learning rate than 0.01,", error.Message);
        Assert.EndsWith($"The model is as step 5 left it. '{options.StatePath}' holds the state of step 4, for the same options.", error.Message);
        Assert.AreEqual(expected, Train(options with { Resume = true }, dataset, folder), "the state goes on");
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    public void A_disk_that_is_full_in_the_middle_of_saving_leaves_the_state_of_before()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("images"), imagesPerClass: 7);
        SiglipTrainingOptions options = Everything with { StatePath = folder.File("state.safetensors") };
        string expected = Train(options, dataset, folder);
        File.Delete(options.StatePath!);
        byte[]? before = null;

        IOException error;
        try
        {
            error = Assert.ThrowsExactly<IOException>(() => Train(options, dataset, folder, state =>
            {
                if (state.Step != 7) // the second save is after step 8
                    return;
                before = File.ReadAllBytes(options.StatePath!);
                FileSizeLimit.Set((ulong)before.Length / 2);
            }));
        }
        finally
        {
            FileSizeLimit.Remove();
        }

        Assert.StartsWith($"'{options.StatePath}' cannot be written: the file system takes no file of this size. ", error.Message);
        Assert.EndsWith("Choose a folder that may be written to and has enough space.", error.Message);
        CollectionAssert.AreEqual(before, File.ReadAllBytes(options.StatePath!));
        Assert.IsEmpty(Directory.GetFiles(folder.Path, "*.tmp"));
        Assert.AreEqual(expected, Train(options with { Resume = true }, dataset, folder));
    }

    [TestMethod]
    public void What_a_training_killed_while_it_saved_left_behind_is_removed_and_nothing_else()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("images"), imagesPerClass: 2);
        string left = folder.File($".state.{Guid.NewGuid():N}.tmp");
        string[] others = [folder.File(".state.backup.tmp"), folder.File($".state2.{Guid.NewGuid():N}.tmp"), folder.File($"state.{Guid.NewGuid():N}.tmp"),
            folder.File($".state.old.{Guid.NewGuid():N}.tmp")];
        foreach (string path in (string[])[left, .. others])
            File.WriteAllText(path, "half of a state");

        Train(Everything with { StatePath = folder.File("state"), Resume = true }, dataset, folder);

        Assert.IsFalse(File.Exists(left));
        Assert.IsTrue(others.All(File.Exists));
        Assert.IsTrue(File.Exists(folder.File("state")));
    }

    [TestMethod]
    public void Saving_and_resuming_leave_no_tensor_behind()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("images"), imagesPerClass: 3);
        foreach (SiglipOptimizer optimizer in Enum.GetValues<SiglipOptimizer>())
        {
            SiglipTrainingOptions options = Everything with { Optimizer = optimizer, Momentum = 0.9, StatePath = folder.File($"{optimizer}.safetensors"), StateInterval = 1 };
            using SiglipForImageClassification model = NewModel(dataset);

            Assert.AreEqual(0, TensorCount.LeftBy(() =>
            {
                using var trainer = new SiglipTrainer(model, ColouredImages.Processor, options);
                trainer.Train(dataset);
                using var resumed = new SiglipTrainer(model, ColouredImages.Processor, options with { Resume = true });
                resumed.Train(dataset);
            }), $"{optimizer}");
        }
    }

    // SHA-256 of the weights that a training ends with.
    private static string Train(
        SiglipTrainingOptions options, ImageFolderDataset dataset, TemporaryFolder folder, Action<SiglipTrainingProgress>? report = null,
        CancellationToken cancellationToken = default)
    {
        using SiglipForImageClassification model = NewModel(dataset);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, options);
        trainer.Train(dataset, progress: new Report(report ?? (_ => { })), cancellationToken: cancellationToken);
        return Hash(model, folder);
    }

    private static string Hash(SiglipForImageClassification model, TemporaryFolder folder)
    {
        model.SavePretrained(folder.File("model"));
        return Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(folder.File("model/model.safetensors"))));
    }

    private static SiglipForImageClassification NewModel(ImageFolderDataset dataset)
    {
        TorchNative.Ensure();
        manual_seed(1);
        return new SiglipForImageClassification(ColouredImages.Config with { AttentionDropout = 0.2 }, dataset.Labels);
    }

    private static bool IsCancelled(Action action)
    {
        try
        {
            action();
            return false;
        }
        catch (OperationCanceledException)
        {
            return true;
        }
    }

    private sealed class Report(Action<SiglipTrainingProgress> action) : IProgress<SiglipTrainingProgress>
    {
        void IProgress<SiglipTrainingProgress>.Report(SiglipTrainingProgress value) => action(value);
    }

    // The images of one batch are not finite.
    private sealed class DivergingSource(ITrainingSource source, int epoch, int batch) : ITrainingSource
    {
        public int Count => source.Count;

        public IReadOnlyList<string> Labels => source.Labels;

        public IReadOnlyCollection<string> SkippedImages => source.SkippedImages;

        public IEnumerable<TrainingBatch> Batches(int number, int firstBatch, CancellationToken cancellationToken)
        {
            foreach (TrainingBatch made in source.Batches(number, firstBatch, cancellationToken))
            {
                if (number == epoch && firstBatch == batch)
                    made.Inputs.fill_(float.NaN);
                firstBatch++;
                yield return made;
            }
        }
    }

    private sealed class CancellingSource(CancellationTokenSource cancellation, IReadOnlyList<string> labels) : ITrainingSource
    {
        public IReadOnlyCollection<string> SkippedImages => [];

        public int Count => 1;

        public IReadOnlyList<string> Labels => labels;

        public IEnumerable<TrainingBatch> Batches(int epoch, int firstBatch, CancellationToken cancellationToken)
        {
            cancellation.Cancel();
            cancellationToken.ThrowIfCancellationRequested();
            yield break;
        }
    }
}
