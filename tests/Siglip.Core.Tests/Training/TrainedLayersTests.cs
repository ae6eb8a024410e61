using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class TrainedLayersTests
{
    private static readonly SiglipTrainingOptions Options = new()
    {
        Epochs = 3,
        BatchSize = 3,
        LearningRate = 1e-2,
        EmaDecay = 0.9,
        WeightDecay = 0.5,
        Seed = 4,
    };

    [TestMethod]
    [DataRow(0, new[] { "classifier." })]
    [DataRow(1, new[] { "classifier.", "vision_model.head.", "vision_model.post_layernorm.", "vision_model.encoder.layers.2." })]
    [DataRow(2, new[] { "classifier.", "vision_model.head.", "vision_model.post_layernorm.", "vision_model.encoder.layers.2.", "vision_model.encoder.layers.1." })]
    [DataRow(3, new[] { "classifier.", "vision_model.head.", "vision_model.post_layernorm.", "vision_model.encoder." })]
    [DataRow(null, new[] { "" })]
    public void Only_what_is_trained_has_gradients_moments_an_average_and_a_place_in_the_state(int? layers, string[] prefixes)
    {
        using DisposeScope scope = NewDisposeScope();
        using SiglipForImageClassification model = SmallModel.New();
        Dictionary<string, Tensor> before = SmallModel.Copy(model);
        string[] expected = [.. before.Keys.Where(name => prefixes.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal)))];
        using var step = new TrainingStep(model, Options with { TrainedLayers = layers }, CPU);

        step.Begin(1e-2);
        step.Accumulate(SmallModel.Batch());
        CollectionAssert.AreEquivalent(expected, model.named_parameters().Where(entry => entry.parameter.grad is not null).Select(entry => entry.name).ToArray());
        step.Finish();

        CollectionAssert.AreEquivalent(expected, SmallModel.Changed(model, before));
        foreach (string prefix in (string[])["model.", "average.", "exp_avg.", "exp_avg_sq.", "steps."])
            CollectionAssert.AreEquivalent(expected, step.State().Where(entry => entry.Name.StartsWith(prefix, StringComparison.Ordinal))
                .Select(entry => entry.Name[prefix.Length..]).ToArray(), prefix);
    }

    [TestMethod]
    public void The_gradients_of_the_last_layers_are_those_of_a_training_of_all_layers()
    {
        using DisposeScope scope = NewDisposeScope();
        using SiglipForImageClassification model = SmallModel.New(), other = SmallModel.New();
        using var all = new TrainingStep(model, new SiglipTrainingOptions(), CPU);
        using var last = new TrainingStep(other, new SiglipTrainingOptions { TrainedLayers = 2 }, CPU);

        all.Begin(1e-3);
        last.Begin(1e-3);
        Assert.AreEqual(all.Accumulate(SmallModel.Batch()), last.Accumulate(SmallModel.Batch()));

        foreach ((string name, Parameter parameter) in other.named_parameters().Where(entry => entry.parameter.grad is not null))
            Assert.AreEqual(0, ReferenceModels.LargestDifference(parameter.grad!, model.get_parameter(name)!.grad!), name);
    }

    [TestMethod]
    [DataRow(0)]
    [DataRow(1)]
    public void After_the_training_what_was_frozen_is_as_it_was_and_can_be_trained_again(int layers)
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 4);
        using DisposeScope scope = NewDisposeScope();
        using SiglipForImageClassification model = SmallModel.New();
        Parameter frozenByTheCaller = model.get_parameter("classifier.bias")!;
        frozenByTheCaller.requires_grad = false;
        Dictionary<string, Tensor> before = SmallModel.Copy(model);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, Options with { TrainedLayers = layers });

        trainer.Train(dataset, dataset, new ListProgress([]));

        string[] changed = SmallModel.Changed(model, before);
        Assert.Contains("classifier.weight", changed);
        Assert.DoesNotContain("classifier.bias", changed);
        Assert.AreEqual(layers == 1, changed.Contains("vision_model.encoder.layers.2.mlp.fc1.weight"));
        Assert.IsFalse(changed.Any(name => name.Contains("embeddings", StringComparison.Ordinal) || name.Contains("layers.1.", StringComparison.Ordinal)));
        Assert.IsTrue(model.named_parameters().All(entry => entry.parameter.requires_grad == (entry.name != "classifier.bias")));
    }

    [TestMethod]
    [DataRow(SiglipClassifierInput.MeanAndPooled)]
    [DataRow(SiglipClassifierInput.Mean)]
    [DataRow(SiglipClassifierInput.Pooled)]
    public void A_classifier_on_stored_embeddings_becomes_that_of_a_training_that_embeds_the_images_in_every_step(SiglipClassifierInput input)
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 5);
        SiglipTrainingOptions options = Options with { TrainedLayers = 0, ClassifierInput = input, GradientAccumulation = 2, LabelSmoothing = 0.1 };
        using SiglipForImageClassification model = SmallModel.New(), other = SmallModel.New();
        using var stored = new SiglipTrainer(model, ColouredImages.Processor, options);
        using var anew = new SiglipTrainer(other, ColouredImages.Processor, options);
        var processor = new SiglipImageProcessor(ColouredImages.Processor);
        List<SiglipTrainingProgress> progress = [], otherProgress = [];

        stored.Train(dataset, dataset, new ListProgress(progress));
        anew.Train(
            TrainingSource.ToLearnFrom(dataset, processor, options with { Augmentation = SiglipAugmentationOptions.None }),
            TrainingSource.ToMeasureWith(dataset, processor, options), new ListProgress(otherProgress), default);

        Assert.HasCount(6, progress); // 2 steps an epoch
        for (int i = 0; i < progress.Count; i++)
        {
            Assert.AreEqual(otherProgress[i].Loss, progress[i].Loss, 1e-6);
            Assert.AreEqual(otherProgress[i].LearningRate, progress[i].LearningRate);
            Assert.AreEqual(otherProgress[i].Validation?.Loss ?? 0, progress[i].Validation?.Loss ?? 0, 1e-6);
        }

        Assert.AreEqual(progress[^1].Validation!.Loss, stored.Evaluate(dataset).Loss, 1e-6);
        foreach (string name in (string[])["classifier.weight", "classifier.bias"])
            Assert.IsLessThanOrEqualTo(2e-5, ReferenceModels.LargestDifference(model.state_dict()[name], other.state_dict()[name]), name);
    }

    [TestMethod]
    [DataRow(SiglipClassifierInput.Mean, 0)]
    [DataRow(SiglipClassifierInput.MeanAndPooled, 4 + 3)] // batches
    public void Every_image_is_embedded_once_and_the_mean_needs_no_pooling_head(SiglipClassifierInput input, int pooled)
    {
        using var folder = new TemporaryFolder();
        var training = new CountedImages(ColouredImages.Write(folder.File("training"), imagesPerClass: 5));
        var validation = new CountedImages(ColouredImages.Write(folder.File("validation"), imagesPerClass: 4));
        using SiglipForImageClassification model = SmallModel.New();
        int embedded = 0, throughHead = 0;
        Module<Tensor, Tensor>("vision_model.encoder").register_forward_hook((_, _, output) =>
        {
            embedded += (int)output.shape[0];
            return output;
        });
        Module<Tensor, Tensor>("vision_model.head").register_forward_hook((_, _, output) =>
        {
            throughHead++;
            return output;
        });
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, Options with { TrainedLayers = 0, ClassifierInput = input });

        trainer.Train(training, validation, new ListProgress([]));

        Assert.AreEqual(10, training.Reads);
        Assert.AreEqual(8, validation.Reads);
        Assert.AreEqual(18, embedded);
        Assert.AreEqual(pooled, throughHead);

        nn.Module<TIn, TOut> Module<TIn, TOut>(string name) => (nn.Module<TIn, TOut>)model.named_modules().Single(entry => entry.name == name).module;
    }

    [TestMethod]
    public void The_stored_embeddings_come_in_an_order_that_the_seed_and_the_epoch_decide()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 4);
        using DisposeScope scope = NewDisposeScope();
        using EmbeddedImages source = Source(seed: 4, shuffle: true), again = Source(seed: 4, shuffle: true), other = Source(seed: 5, shuffle: true);
        using EmbeddedImages inOrder = Source(seed: 4, shuffle: false);

        TrainingBatch[] all = [.. source.Batches(2, 0, default)], rest = [.. again.Batches(2, 1, default)];

        CollectionAssert.AreEqual((int[])[3, 3, 2], all.Select(batch => batch.Count).ToArray());
        CollectionAssert.AreEqual((long[])[3, 1, 3 * 64], all[0].Inputs.shape);
        Assert.AreEqual(0, ReferenceModels.LargestDifference(Joined(all[1..]), Joined(rest)));
        Assert.IsGreaterThan(0, ReferenceModels.LargestDifference(Joined(all), Joined([.. source.Batches(3, 0, default)])));
        Assert.IsGreaterThan(0, ReferenceModels.LargestDifference(Joined(all), Joined([.. other.Batches(2, 0, default)])));
        CollectionAssert.AreEqual(
            (float[])[1, 0, 1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 0, 1], inOrder.Batches(7, 0, default).SelectMany(batch => batch.Targets.data<float>().ToArray()).ToArray());

        // As if a model left the pixel values as they are.
        EmbeddedImages Source(int seed, bool shuffle)
        {
            SiglipTrainingOptions options = Options with { Seed = seed };
            return new EmbeddedImages(
                TrainingSource.ToEmbed(dataset, new SiglipImageProcessor(ColouredImages.Processor), options, leaveOutBadImages: false), pixelValues => pixelValues.flatten(1).unsqueeze(1), options, shuffle);
        }

        static Tensor Joined(TrainingBatch[] batches) => cat([.. batches.Select(batch => batch.Inputs)]);
    }

    [TestMethod]
    public void Cancelling_ends_the_embedding_and_leaves_no_tensor_behind()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 20);
        using SiglipForImageClassification model = SmallModel.New();

        Assert.AreEqual(0, TensorCount.LeftBy(() =>
        {
            using var cancellation = new CancellationTokenSource();
            var images = new CountedImages(dataset, count =>
            {
                if (count == 9)
                    cancellation.Cancel();
            });
            using var trainer = new SiglipTrainer(model, ColouredImages.Processor, Options with { TrainedLayers = 0 });
            Assert.Throws<OperationCanceledException>(() => trainer.Train(images, progress: new ListProgress([]), cancellationToken: cancellation.Token));
            Assert.IsLessThan(40, images.Reads);
        }));
    }

    [TestMethod]
    public void Bad_images_are_left_out_or_end_the_embedding_as_in_any_training()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 3);
        File.WriteAllText(dataset.Images[1].Path, "no image");
        using SiglipForImageClassification model = SmallModel.New();
        var progress = new List<SiglipTrainingProgress>();

        using (var strict = new SiglipTrainer(model, ColouredImages.Processor, Options with { TrainedLayers = 0 }))
            Assert.Contains($"'{dataset.Images[1].Path}' is no image", Assert.ThrowsExactly<InvalidDataException>(() => strict.Train(dataset)).Message);
        using (var lenient = new SiglipTrainer(model, ColouredImages.Processor, Options with { TrainedLayers = 0, SkipBadImages = true }))
            lenient.Train(dataset, progress: new ListProgress(progress));

        Assert.IsTrue(progress.All(state => state.SkippedImages == 1));
    }

    [TestMethod]
    [DataRow(0)]
    [DataRow(1)]
    public void A_training_of_some_layers_leaves_no_tensor_behind(int layers)
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 3);
        using SiglipForImageClassification model = SmallModel.New();

        Assert.AreEqual(0, TensorCount.LeftBy(() =>
        {
            using var trainer = new SiglipTrainer(model, ColouredImages.Processor, Options with { TrainedLayers = layers });
            trainer.Train(dataset, dataset, new ListProgress([]));
        }));
    }

    [TestMethod]
    public void What_has_no_meaning_is_refused()
    {
        using SiglipForImageClassification model = SmallModel.New();

        Assert.AreEqual("The last 4 layers are to be trained, but the model has 3; lower TrainedLayers, or leave it out to train everything.",
            Assert.ThrowsExactly<ArgumentException>(() => Trainer(new() { TrainedLayers = 4 })).Message);
        Assert.Contains("Expected 0, because TrainedLayers is 0", Refused(new() { TrainedLayers = 0, PatchDropout = 0.5 }, "PatchDropout"));
        Assert.Contains("because Lora is set", Refused(new() { TrainedLayers = 0, Lora = new() }, "TrainedLayers"));
        Refused(new() { TrainedLayers = -1 }, "TrainedLayers");
        Refused(new() { LayerLearningRateDecay = 0 }, "LayerLearningRateDecay");
        Refused(new() { LayerLearningRateDecay = 1.1 }, "LayerLearningRateDecay");
        Refused(new() { LayerLearningRateDecay = double.NaN }, "LayerLearningRateDecay");

        SiglipTrainer Trainer(SiglipTrainingOptions options) => new(model, ColouredImages.Processor, options);

        string Refused(SiglipTrainingOptions options, string name)
        {
            var error = Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Trainer(options));
            Assert.AreEqual(name, error.ParamName);
            return error.Message;
        }
    }

    // SGD without momentum moves a weight by the learning rate times its gradient, and the decay of the weight.
    [TestMethod]
    [DataRow(0.5)]
    [DataRow(0.9)]
    public void Each_layer_has_the_learning_rate_of_the_one_after_it_times_the_decay(double decay)
    {
        const double Rate = 0.1, WeightDecay = 0.2;
        (string Prefix, int Exponent)[] exponents =
        [
            ("classifier.", 0), ("vision_model.head.", 1), ("vision_model.post_layernorm.", 1), ("vision_model.encoder.layers.2.", 1), ("vision_model.encoder.layers.1.", 2),
            ("vision_model.encoder.layers.0.", 3), ("vision_model.embeddings.", 4),
        ];
        using DisposeScope scope = NewDisposeScope();
        using SiglipForImageClassification model = SmallModel.New();
        Dictionary<string, Tensor> before = SmallModel.Copy(model);
        using var step = new TrainingStep(model, new SiglipTrainingOptions
        {
            Optimizer = SiglipOptimizer.Sgd,
            WeightDecay = WeightDecay,
            LayerLearningRateDecay = decay,
            MaxGradientNorm = double.PositiveInfinity,
        }, CPU);

        step.Begin(Rate);
        step.Accumulate(SmallModel.Batch());
        step.Finish();

        foreach ((string name, Parameter parameter) in model.named_parameters())
        {
            double rate = Rate * Math.Pow(decay, exponents.Single(entry => name.StartsWith(entry.Prefix, StringComparison.Ordinal)).Exponent);
            bool decayed = parameter.dim() >= 2 && !name.Contains("position_embedding", StringComparison.Ordinal);
            Tensor gradient = parameter.grad! + (decayed ? before[name] * WeightDecay : 0);
            Assert.IsLessThanOrEqualTo(2e-7, ReferenceModels.LargestDifference(parameter, before[name] - (gradient * rate)), name);
        }
    }

    private sealed class ListProgress(List<SiglipTrainingProgress> list) : IProgress<SiglipTrainingProgress>
    {
        public void Report(SiglipTrainingProgress value) => list.Add(value);
    }
}
