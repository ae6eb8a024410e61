using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class SiglipTrainerTests
{
    [TestMethod]
    public void The_second_loss_is_that_of_the_pooled_embedding()
    {
        using DisposeScope scope = NewDisposeScope();
        (SiglipForImageClassification model, Tensor pixelValues, _) = TrainingReference.Start();
        using SafetensorsFile ofMean = SafetensorsFile.Open(ReferenceData.PathOf("training", "mean_adamw.safetensors"));
        using SafetensorsFile ofPooled = SafetensorsFile.Open(ReferenceData.PathOf("training", "pooled_adamw.safetensors"));

        (Tensor mean, Tensor? pooled) = model.EmbedBoth(pixelValues, new SiglipForwardOptions());

        TrainingReference.CheckLogits("mean_adamw", model.Classify(mean), ofMean);
        TrainingReference.CheckLogits("pooled_adamw", model.Classify(pooled!), ofPooled);
    }

    [TestMethod]
    public void Training_learns_to_tell_red_from_blue_images_and_trains_the_pooling_head()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 8);
        TorchNative.Ensure();
        manual_seed(5);
        using var model = new SiglipForImageClassification(ColouredImages.Config, dataset.Labels);
        using Tensor probe = model.state_dict()["vision_model.head.probe"].clone();
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, new SiglipTrainingOptions { Epochs = 10, BatchSize = 4, LearningRate = 1e-2, Seed = 1 });
        var progress = new List<SiglipTrainingProgress>();

        trainer.Train(dataset, dataset, new ListProgress(progress));

        Assert.AreEqual(1.0, trainer.Evaluate(dataset).Accuracy);
        Assert.IsGreaterThan(0, Difference(probe, model.state_dict()["vision_model.head.probe"]));
        Assert.HasCount(40, progress);
        Assert.AreEqual(10, progress.Count(state => state.EndOfEpoch && state.Validation is not null));
        Assert.IsLessThan(progress[3].Loss, progress[^1].Loss);
    }

    [TestMethod]
    public void The_same_seed_gives_the_same_weights_to_the_bit()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 5);

        using SiglipForImageClassification first = TrainWithSeed(7), second = TrainWithSeed(7), other = TrainWithSeed(8);

        Assert.AreEqual(0, Difference(first.state_dict()["classifier.weight"], second.state_dict()["classifier.weight"]));
        Assert.IsGreaterThan(0, Difference(first.state_dict()["classifier.weight"], other.state_dict()["classifier.weight"]));

        SiglipForImageClassification TrainWithSeed(int seed)
        {
            TorchNative.Ensure();
            manual_seed(1);
            var model = new SiglipForImageClassification(ColouredImages.Config, dataset.Labels);
            using var trainer = new SiglipTrainer(model, ColouredImages.Processor, new SiglipTrainingOptions { Epochs = 2, BatchSize = 3, Seed = seed });
            trainer.Train(dataset);
            return model;
        }
    }

    [TestMethod]
    public void The_learning_rate_rises_and_then_falls_along_a_cosine()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 10);
        TorchNative.Ensure();
        using var model = new SiglipForImageClassification(ColouredImages.Config, dataset.Labels);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor,
            new SiglipTrainingOptions { Epochs = 1, BatchSize = 1, LearningRate = 1e-3, WarmUpShare = 0.2 });
        var progress = new List<SiglipTrainingProgress>();

        trainer.Train(dataset, progress: new ListProgress(progress));

        Assert.AreEqual(2.5e-4, progress[0].LearningRate, 1e-12);
        Assert.AreEqual(1e-3, progress[3].LearningRate, 1e-12);
        Assert.AreEqual(5e-4, progress[12].LearningRate, 1e-12); // half of the 16 steps of the cosine
        Assert.IsLessThan(2e-5, progress[^1].LearningRate);
    }

    [TestMethod]
    public void Labels_that_are_not_the_models_are_refused()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 1);
        using var model = new SiglipForImageClassification(ColouredImages.Config, ["green", "red"]);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor);

        var error = Assert.ThrowsExactly<ArgumentException>(() => trainer.Train(dataset));

        Assert.Contains("have the classes blue, red, the model those of green, red", error.Message);
    }

    [TestMethod]
    public void Cancelling_ends_the_training_before_the_next_step()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 4);
        using var model = new SiglipForImageClassification(ColouredImages.Config, dataset.Labels);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, new SiglipTrainingOptions { BatchSize = 1 });
        using var cancellation = new CancellationTokenSource();
        var progress = new List<SiglipTrainingProgress>();

        Assert.ThrowsExactly<OperationCanceledException>(() => trainer.Train(dataset, progress: new ListProgress(progress, cancellation.Cancel), cancellationToken: cancellation.Token));

        Assert.HasCount(1, progress);
    }

    [TestMethod]
    public void A_bad_image_ends_training_and_measuring_with_its_own_error()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 2);
        File.WriteAllText(dataset.Images[1].Path, "no image");
        using var model = new SiglipForImageClassification(ColouredImages.Config, dataset.Labels);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor);

        Assert.Contains($"'{dataset.Images[1].Path}' is no image", Assert.ThrowsExactly<InvalidDataException>(() => trainer.Train(dataset)).Message);
        Assert.Contains($"'{dataset.Images[1].Path}' is no image", Assert.ThrowsExactly<InvalidDataException>(() => trainer.Evaluate(dataset)).Message);
    }

    [TestMethod]
    public void Bad_images_are_left_out_of_the_training_and_counted_if_asked_for()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 3);
        File.WriteAllText(dataset.Images[1].Path, "no image");
        File.Delete(dataset.Images[4].Path);
        using var model = new SiglipForImageClassification(ColouredImages.Config, dataset.Labels);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, new SiglipTrainingOptions { Epochs = 2, BatchSize = 4, SkipBadImages = true });
        var progress = new List<SiglipTrainingProgress>();

        trainer.Train(dataset, progress: new ListProgress(progress));

        Assert.HasCount(4, progress); // as many steps as without bad images
        Assert.AreEqual(2, progress[1].SkippedImages);
        Assert.AreEqual(2, progress[^1].SkippedImages, "each counts once");
    }

    [TestMethod]
    public void Bad_images_are_left_out_of_a_measurement_not_replaced_by_others()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 5);
        TorchNative.Ensure();
        manual_seed(5);
        using var model = new SiglipForImageClassification(ColouredImages.Config, dataset.Labels);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, new SiglipTrainingOptions { BatchSize = 2, SkipBadImages = true });
        foreach (int bad in (int[])[0, 2, 3, 7]) // one of a batch, and a whole batch
            File.WriteAllText(dataset.Images[bad].Path, "no image");

        SiglipEvaluation evaluation = trainer.Evaluate(dataset);
        foreach (int bad in (int[])[0, 2, 3, 7])
            File.Delete(dataset.Images[bad].Path);
        SiglipEvaluation ofTheOthers = trainer.Evaluate(ImageFolderDataset.Open(folder.Path));

        Assert.AreEqual(6, evaluation.Count);
        Assert.AreEqual(ofTheOthers.Loss, evaluation.Loss, 1e-6);
        for (int label = 0; label < 2; label++)
            CollectionAssert.AreEqual(ofTheOthers.Confusion[label].ToArray(), evaluation.Confusion[label].ToArray());

        foreach (LabeledImage image in dataset.Images)
            File.WriteAllText(image.Path, "no image");
        Assert.Contains("None of the 10 images can be read", Assert.ThrowsExactly<InvalidDataException>(() => trainer.Evaluate(dataset)).Message);
    }

    [TestMethod]
    [DataRow(null)]
    [DataRow(0)] // on stored embeddings
    public void Bad_validation_images_are_left_out_of_the_progress(int? trainedLayers)
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("train"), imagesPerClass: 3), validation = ColouredImages.Write(folder.File("val"), imagesPerClass: 4);
        File.WriteAllText(dataset.Images[2].Path, "no image");
        File.WriteAllText(validation.Images[1].Path, "no image");
        File.WriteAllText(validation.Images[2].Path, "no image");
        using var model = new SiglipForImageClassification(ColouredImages.Config, dataset.Labels);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor,
            new SiglipTrainingOptions { Epochs = 2, BatchSize = 3, SkipBadImages = true, TrainedLayers = trainedLayers });
        var progress = new List<SiglipTrainingProgress>();

        trainer.Train(dataset, validation, new ListProgress(progress));

        Assert.HasCount(4, progress);
        Assert.AreEqual(1, progress[^1].SkippedImages);
        Assert.AreEqual(6, progress[1].Validation!.Count);
        Assert.AreEqual(6, progress[3].Validation!.Count);
        Assert.AreEqual(trainer.Evaluate(validation).Loss, progress[3].Validation!.Loss, 1e-6);
    }

    [TestMethod]
    [DataRow(SiglipClassifierInput.MeanAndPooled)]
    [DataRow(SiglipClassifierInput.Mean)]
    [DataRow(SiglipClassifierInput.Pooled)]
    public void The_accuracy_of_an_epoch_is_that_of_its_images_before_their_steps(SiglipClassifierInput input)
    {
        using TemporaryFolder folder = Cifar10Files.Write(imagesPerFile: 10);
        Cifar10Dataset dataset = Cifar10Dataset.OpenTraining(folder.Path);
        TorchNative.Ensure();
        manual_seed(3);
        using var model = new SiglipForImageClassification(ColouredImages.Config, dataset.Labels);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, new SiglipTrainingOptions
        {
            Epochs = 2,
            BatchSize = 8,
            GradientAccumulation = 3,
            LearningRate = 1e-30, // changes nothing
            WarmUpShare = 0,
            ClassifierInput = input,
            Augmentation = SiglipAugmentationOptions.None,
        });
        double expected = trainer.Evaluate(dataset).Accuracy;
        var progress = new List<SiglipTrainingProgress>();

        trainer.Train(dataset, progress: new ListProgress(progress));

        Assert.IsTrue(expected is > 0 and < 1, $"{expected}");
        Assert.HasCount(6, progress);
        Assert.AreEqual(expected, progress[2].Accuracy);
        Assert.AreEqual(expected, progress[5].Accuracy);
    }

    [TestMethod]
    public void The_last_batch_may_be_smaller_and_counts_by_its_images()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 5);
        TorchNative.Ensure();
        manual_seed(5);
        using var model = new SiglipForImageClassification(ColouredImages.Config, dataset.Labels);
        var progress = new List<SiglipTrainingProgress>();
        using var inParts = new SiglipTrainer(model, ColouredImages.Processor, new SiglipTrainingOptions { Epochs = 1, BatchSize = 4 });
        using var atOnce = new SiglipTrainer(model, ColouredImages.Processor, new SiglipTrainingOptions { BatchSize = 10 });

        inParts.Train(dataset, progress: new ListProgress(progress));

        Assert.HasCount(3, progress);
        Assert.IsTrue(progress[^1].EndOfEpoch);
        Assert.AreEqual(10, inParts.Evaluate(dataset).Count);
        Assert.AreEqual(atOnce.Evaluate(dataset).Loss, inParts.Evaluate(dataset).Loss, 1e-6);
    }

    [TestMethod]
    public void After_training_and_measuring_the_model_is_in_evaluation_mode()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 1);
        using var model = new SiglipForImageClassification(ColouredImages.Config, dataset.Labels);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, new SiglipTrainingOptions { Epochs = 1 });

        trainer.Train(dataset);
        Assert.IsFalse(model.training);

        model.train();
        trainer.Evaluate(dataset);
        Assert.IsFalse(model.training);
    }

    [TestMethod]
    public void What_does_not_fit_the_model_is_refused_before_the_training()
    {
        using var model = new SiglipForImageClassification(ColouredImages.Config, ["blue", "red"]);
        using var grey = new SiglipForImageClassification(ColouredImages.Config with { NumChannels = 1 }, ["blue", "red"]);

        Assert.Contains("images of 8 x 16 pixels, the model expects 8 x 8",
            Assert.ThrowsExactly<ArgumentException>(() => new SiglipTrainer(model, ColouredImages.Processor with { Width = 16 })).Message);
        Assert.Contains("The model expects images with 1 channel, but image files are read as RGB", Assert.ThrowsExactly<ArgumentException>(() => new SiglipTrainer(grey, ColouredImages.Processor)).Message);
        Assert.Contains("The device is 'gpu'",
            Assert.ThrowsExactly<ArgumentException>(() => new SiglipTrainer(model, ColouredImages.Processor, new SiglipTrainingOptions { Device = "gpu" })).Message);
    }

    [TestMethod]
    public void Accumulated_batches_make_one_step_and_the_last_step_of_an_epoch_may_have_fewer()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 5);
        using var model = new SiglipForImageClassification(ColouredImages.Config, dataset.Labels);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, new SiglipTrainingOptions { Epochs = 2, BatchSize = 2, GradientAccumulation = 3 });
        var progress = new List<SiglipTrainingProgress>();

        trainer.Train(dataset, progress: new ListProgress(progress)); // batches of 2, 2, 2 and 2, 2 images

        CollectionAssert.AreEqual((int[])[1, 2, 3, 4], progress.Select(state => state.Step).ToArray());
        CollectionAssert.AreEqual((bool[])[false, true, false, true], progress.Select(state => state.EndOfEpoch).ToArray());
        Assert.IsTrue(progress.All(state => state.Steps == 4));
    }

    [TestMethod]
    public void Accumulation_trains_the_same_model_as_larger_batches()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 5);

        using SiglipForImageClassification inParts = Train(2, 3), atOnce = Train(6, 1);

        Assert.IsLessThanOrEqualTo(2e-5, Difference(atOnce.state_dict()["classifier.weight"], inParts.state_dict()["classifier.weight"]));

        SiglipForImageClassification Train(int batchSize, int accumulation)
        {
            TorchNative.Ensure();
            manual_seed(1);
            var model = new SiglipForImageClassification(ColouredImages.Config, dataset.Labels);
            using var trainer = new SiglipTrainer(model, ColouredImages.Processor,
                new SiglipTrainingOptions { Epochs = 2, BatchSize = batchSize, GradientAccumulation = accumulation });
            trainer.Train(dataset);
            return model;
        }
    }

    [TestMethod]
    public void The_averaged_weights_are_measured_reported_and_left_in_the_model()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 4);
        List<float> averagedLoss = [], plainLoss = [];

        using SiglipForImageClassification averaged = Train(0.9, averagedLoss), plain = Train(0, plainLoss);

        Assert.IsGreaterThan(0, Difference(plain.state_dict()["classifier.weight"], averaged.state_dict()["classifier.weight"]));
        Assert.AreNotEqual(plainLoss[^1], averagedLoss[^1]);

        SiglipForImageClassification Train(double decay, List<float> weights)
        {
            TorchNative.Ensure();
            manual_seed(1);
            var model = new SiglipForImageClassification(ColouredImages.Config, dataset.Labels);
            using var trainer = new SiglipTrainer(model, ColouredImages.Processor, new SiglipTrainingOptions { Epochs = 3, BatchSize = 4, LearningRate = 1e-2, EmaDecay = decay });
            var progress = new List<SiglipTrainingProgress>();
            trainer.Train(dataset, dataset, new ListProgress(progress, () => weights.Add(model.state_dict()["classifier.weight"][0, 0].item<float>())));
            Assert.AreEqual(weights[^1], model.state_dict()["classifier.weight"][0, 0].item<float>(), "what is reported last is what stays");
            Assert.AreEqual(progress[^1].Validation!.Loss, trainer.Evaluate(dataset).Loss, "what was measured last is what stays");
            return model;
        }
    }

    [TestMethod]
    public void A_loss_of_the_pooled_embedding_is_measured_on_the_pooled_embedding()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 4);
        TorchNative.Ensure();
        manual_seed(5);
        using var model = new SiglipForImageClassification(ColouredImages.Config, dataset.Labels);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor,
            new SiglipTrainingOptions { Epochs = 10, BatchSize = 4, LearningRate = 1e-2, ClassifierInput = SiglipClassifierInput.Pooled });
        using var ofMean = new SiglipTrainer(model, ColouredImages.Processor);

        trainer.Train(dataset);

        Assert.AreEqual(1.0, trainer.Evaluate(dataset).Accuracy);
        Assert.AreNotEqual(ofMean.Evaluate(dataset).Loss, trainer.Evaluate(dataset).Loss, 1e-3);
    }

    [TestMethod]
    public void The_batches_of_an_epoch_are_the_same_from_any_batch_on()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 4);
        var source = TrainingSource.ToLearnFrom(dataset, new SiglipImageProcessor(ColouredImages.Processor), new SiglipTrainingOptions { BatchSize = 3, Seed = 2 });
        using DisposeScope scope = NewDisposeScope();

        TrainingBatch[] all = [.. source.Batches(2, 0, default)], rest = [.. source.Batches(2, 1, default)], otherEpoch = [.. source.Batches(3, 0, default)];

        Assert.HasCount(3, all);
        Assert.HasCount(2, rest);
        Assert.AreEqual(2, rest[1].Count);
        for (int i = 0; i < rest.Length; i++)
        {
            Assert.AreEqual(0, Difference(all[i + 1].Inputs, rest[i].Inputs));
            Assert.AreEqual(0, Difference(all[i + 1].Targets, rest[i].Targets));
        }

        Assert.IsGreaterThan(0, Difference(all[0].Inputs, otherEpoch[0].Inputs));
    }

    [TestMethod]
    public void Training_and_measuring_leave_no_tensor_behind()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 3);
        using var model = new SiglipForImageClassification(ColouredImages.Config, dataset.Labels);

        Assert.AreEqual(0, TensorCount.LeftBy(() =>
        {
            using var trainer = new SiglipTrainer(model, ColouredImages.Processor,
                new SiglipTrainingOptions { Epochs = 2, BatchSize = 2, GradientAccumulation = 2, EmaDecay = 0.9 });
            trainer.Train(dataset, dataset);
        }));
    }

    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public void A_training_that_is_stopped_leaves_no_tensor_behind(bool byToken)
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 3);
        using var model = new SiglipForImageClassification(ColouredImages.Config, dataset.Labels);

        Assert.AreEqual(0, TensorCount.LeftBy(() =>
        {
            using var cancellation = new CancellationTokenSource();
            using var trainer = new SiglipTrainer(model, ColouredImages.Processor, new SiglipTrainingOptions { Epochs = 1, BatchSize = 1 });
            var progress = new ListProgress([], byToken ? cancellation.Cancel : () => throw new OperationCanceledException());
            Assert.ThrowsExactly<OperationCanceledException>(() => trainer.Train(dataset, progress: progress, cancellationToken: cancellation.Token));
        }));
    }

    [TestMethod]
    public void More_steps_than_can_be_counted_are_refused()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 2);
        using var model = new SiglipForImageClassification(ColouredImages.Config, dataset.Labels);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, new SiglipTrainingOptions { Epochs = int.MaxValue, BatchSize = 1 });

        Assert.StartsWith("2,147,483,647 epochs are 8,589,934,588 steps", Assert.ThrowsExactly<ArgumentException>(() => trainer.Train(dataset)).Message);
    }

    [TestMethod]
    public void Options_out_of_range_are_refused_by_name()
    {
        Refused("Epochs", new() { Epochs = 0 });
        Refused("BatchSize", new() { BatchSize = 0 });
        Refused("LearningRate", new() { LearningRate = 0 });
        Refused("LearningRate", new() { LearningRate = double.NaN });
        Refused("LearningRate", new() { LearningRate = double.PositiveInfinity });
        Refused("WeightDecay", new() { WeightDecay = -1 });
        Refused("WeightDecay", new() { WeightDecay = double.NaN });
        Refused("WarmUpShare", new() { WarmUpShare = -0.1 });
        Refused("WarmUpShare", new() { WarmUpShare = 1 });
        Refused("WarmUpShare", new() { WarmUpShare = double.NaN });
        Refused("LabelSmoothing", new() { LabelSmoothing = -0.1 });
        Refused("LabelSmoothing", new() { LabelSmoothing = 1 });
        Refused("LabelSmoothing", new() { LabelSmoothing = double.NaN });
        Refused("MaxGradientNorm", new() { MaxGradientNorm = 0 });
        Refused("GradientAccumulation", new() { GradientAccumulation = 0 });
        Refused("Optimizer", new() { Optimizer = (SiglipOptimizer)7 });
        Refused("ClassifierInput", new() { ClassifierInput = (SiglipClassifierInput)(-1) });
        Refused("MinLearningRate", new() { MinLearningRate = -1 });
        Refused("MinLearningRate", new() { MinLearningRate = 1, LearningRate = 0.5 });
        Refused("MinLearningRate", new() { MinLearningRate = double.NaN });
        Refused("WarmUpSteps", new() { WarmUpSteps = -1 });
        Refused("WarmUpEpochs", new() { WarmUpEpochs = -0.1 });
        Refused("WarmUpEpochs", new() { WarmUpEpochs = double.NaN });
        Refused("WarmUpEpochs", new() { WarmUpEpochs = 10, Epochs = 10 });
        Refused("WarmUpEpochs", new() { WarmUpEpochs = 1, WarmUpSteps = 5 });
        foreach (double value in (double[])[-0.1, 1, double.NaN])
        {
            Refused("Beta1", new() { Beta1 = value });
            Refused("Beta2", new() { Beta2 = value });
            Refused("Momentum", new() { Momentum = value });
            Refused("EmaDecay", new() { EmaDecay = value });
        }

        Refused("Epsilon", new() { Epsilon = 0 });
        Refused("Epsilon", new() { Epsilon = double.NaN });
        Refused("MaxGradientNorm", new() { MaxGradientNorm = double.NaN });

        static void Refused(string name, SiglipTrainingOptions options)
        {
            using var model = new SiglipForImageClassification(ColouredImages.Config, ["blue", "red"]);
            Assert.AreEqual(name, Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => new SiglipTrainer(model, ColouredImages.Processor, options)).ParamName, $"{options}");
        }
    }

    private static double Difference(Tensor expected, Tensor actual) => ReferenceModels.LargestDifference(actual, expected);

    private sealed class ListProgress(List<SiglipTrainingProgress> list, Action? afterwards = null) : IProgress<SiglipTrainingProgress>
    {
        public void Report(SiglipTrainingProgress value)
        {
            list.Add(value);
            afterwards?.Invoke();
        }
    }
}
