using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class LoraTests
{
    private const string Layers = "vision_model.encoder.layers.";

    private static readonly SiglipTrainingOptions Options = new()
    {
        Epochs = 3,
        BatchSize = 3,
        LearningRate = 1e-2,
        Seed = 4,
        Lora = new SiglipLoraOptions { Rank = 3, Alpha = 12 },
    };

    // With W = W0 + s · B · A and G the gradient of W: that of A is s · Bᵀ · G, that of B is s · G · Aᵀ.
    [TestMethod]
    [DataRow(SiglipClassifierInput.Mean)]
    [DataRow(SiglipClassifierInput.MeanAndPooled)]
    public void The_gradients_of_the_additions_follow_from_those_of_the_matrices_they_are_merged_into(SiglipClassifierInput input)
    {
        const double Scale = 12.0 / 3;
        using DisposeScope scope = NewDisposeScope();
        using SiglipForImageClassification model = SmallModel.New();
        TrainingBatch batch = SmallModel.Batch();
        using var step = new TrainingStep(model, Options with { ClassifierInput = input }, CPU);
        Dictionary<string, Tensor> additions = RandomAdditions(step);
        step.Begin(1e-3);
        double loss = step.Accumulate(batch);
        var gradients = additions.ToDictionary(pair => pair.Key, pair => pair.Value.grad!.clone());
        Tensor ofClassifier = model.get_parameter("classifier.weight")!.grad!.clone();
        Assert.IsTrue(model.named_parameters().All(entry => entry.parameter.grad is null == !entry.name.StartsWith("classifier.", StringComparison.Ordinal)));

        step.Show();
        model.get_parameter("classifier.weight")!.grad = null;
        Tensor[] losses = [.. step.Logits(batch.Inputs).Select(logits => nn.functional.cross_entropy(logits, batch.Targets))];
        Tensor merged = stack(losses).mean();
        merged.backward();

        Assert.AreEqual(merged.item<float>(), loss, 1e-6);
        Assert.IsLessThanOrEqualTo(1e-6, ReferenceModels.LargestDifference(ofClassifier, model.get_parameter("classifier.weight")!.grad!));
        string[] matrices = [.. additions.Keys.Where(name => name.EndsWith(".lora_A.weight", StringComparison.Ordinal)).Select(name => name[..^".lora_A.weight".Length])];
        Assert.HasCount(3 * 6, matrices);
        foreach (string matrix in matrices)
        {
            Tensor a = additions[matrix + ".lora_A.weight"].detach(), b = additions[matrix + ".lora_B.weight"].detach();
            Tensor gradient = model.get_parameter(matrix + ".weight")!.grad!;
            Check(gradients[matrix + ".lora_A.weight"], b.t().matmul(gradient) * Scale);
            Check(gradients[matrix + ".lora_B.weight"], gradient.matmul(a.t()) * Scale);

            void Check(Tensor actual, Tensor expected)
            {
                double largest = expected.abs().max().item<float>();
                Assert.IsGreaterThan(1e-6, largest, matrix);
                Assert.IsLessThanOrEqualTo(2e-5 * Math.Max(largest, 0.01), ReferenceModels.LargestDifference(actual, expected), matrix);
            }
        }
    }

    [TestMethod]
    public void Merged_weights_are_the_sum_and_give_the_same_logits_and_unmerged_ones_are_as_they_were_to_the_bit()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGradients = no_grad();
        using SiglipForImageClassification model = SmallModel.New();
        Tensor pixelValues = SmallModel.Batch().Inputs;
        using var step = new TrainingStep(model, Options, CPU);
        Tensor alone = model.call(pixelValues);
        Dictionary<string, Tensor> before = SmallModel.Copy(model), additions = RandomAdditions(step);
        Tensor unmerged = model.call(pixelValues);
        Assert.IsGreaterThan(1e-2, ReferenceModels.LargestDifference(unmerged, alone));

        for (int i = 0; i < 3; i++)
        {
            step.Show();
            Assert.IsLessThanOrEqualTo(1e-6, ReferenceModels.LargestDifference(model.call(pixelValues), unmerged));
            foreach (string matrix in SmallModel.Changed(model, before))
            {
                Tensor expected = before[matrix] + (additions[matrix[..^"weight".Length] + "lora_B.weight"].matmul(additions[matrix[..^"weight".Length] + "lora_A.weight"]) * 4);
                Assert.IsLessThanOrEqualTo(1e-6, ReferenceModels.LargestDifference(model.state_dict()[matrix], expected), matrix);
            }

            Assert.HasCount(18, SmallModel.Changed(model, before));
            step.Hide();
            Assert.IsEmpty(SmallModel.Changed(model, before));
            Assert.AreEqual(0, ReferenceModels.LargestDifference(model.call(pixelValues), unmerged));
        }
    }

    [TestMethod]
    public void Start_values_are_those_of_peft_add_nothing_and_follow_from_the_seed_alone()
    {
        using DisposeScope scope = NewDisposeScope();
        using SiglipForImageClassification model = SmallModel.New();
        Tensor pixelValues = SmallModel.Batch().Inputs, before = model.call(pixelValues);
        manual_seed(3);
        Tensor random = rand(5);
        manual_seed(3);
        using var step = new TrainingStep(model, Options, CPU);
        Assert.AreEqual(0, ReferenceModels.LargestDifference(rand(5), random), "torch's generator is the caller's");
        Dictionary<string, Tensor> additions = Additions(step);

        Assert.AreEqual(0, ReferenceModels.LargestDifference(model.call(pixelValues), before));
        foreach ((string name, Tensor value) in additions)
        {
            long inputs = name.Contains("fc2", StringComparison.Ordinal) ? 32 : 16, outputs = name.Contains("fc1", StringComparison.Ordinal) ? 32 : 16;
            bool isA = name.EndsWith("lora_A.weight", StringComparison.Ordinal);
            CollectionAssert.AreEqual(isA ? (long[])[3, inputs] : [outputs, 3], value.shape, name);
            double largest = value.abs().max().item<float>(), bound = isA ? 1 / Math.Sqrt(inputs) : 0;
            Assert.IsTrue(largest <= bound && largest >= bound * 0.8, $"{name}: {largest}");
        }

        string first = additions.Keys.First(name => name.EndsWith("lora_A.weight", StringComparison.Ordinal));
        using SiglipForImageClassification second = SmallModel.New();
        using var same = new TrainingStep(second, Options, CPU);
        Assert.AreEqual(0, ReferenceModels.LargestDifference(Additions(same)[first], additions[first]));
        using SiglipForImageClassification third = SmallModel.New();
        using var other = new TrainingStep(third, Options with { Seed = 5 }, CPU);
        Assert.IsGreaterThan(0, ReferenceModels.LargestDifference(Additions(other)[first], additions[first]));
    }

    [TestMethod]
    [DataRow(SiglipLoraTargets.Query, null, new[] { "0.self_attn.q_proj", "1.self_attn.q_proj", "2.self_attn.q_proj" })]
    [DataRow(SiglipLoraTargets.Key | SiglipLoraTargets.Value, 1, new[] { "2.self_attn.k_proj", "2.self_attn.v_proj" })]
    [DataRow(SiglipLoraTargets.Output, 2, new[] { "1.self_attn.out_proj", "2.self_attn.out_proj" })]
    [DataRow(SiglipLoraTargets.Mlp, 1, new[] { "2.mlp.fc1", "2.mlp.fc2" })]
    [DataRow(SiglipLoraTargets.All, 1, new[] { "2.self_attn.q_proj", "2.self_attn.k_proj", "2.self_attn.v_proj", "2.self_attn.out_proj", "2.mlp.fc1", "2.mlp.fc2" })]
    public void Additions_are_in_the_matrices_and_layers_that_are_asked_for(SiglipLoraTargets targets, int? layers, string[] expected)
    {
        using SiglipForImageClassification model = SmallModel.New();
        using var step = new TrainingStep(model, Options with { TrainedLayers = layers, EmaDecay = 0.9, Lora = new() { Targets = targets } }, CPU);
        using DisposeScope scope = NewDisposeScope();
        string[] names = ["classifier.weight", "classifier.bias",
            .. expected.SelectMany(matrix => (string[])[$"{Layers}{matrix}.lora_A.weight", $"{Layers}{matrix}.lora_B.weight"])];

        foreach (string prefix in (string[])["model.", "average.", "exp_avg."])
            CollectionAssert.AreEquivalent(names, step.State().Where(entry => entry.Name.StartsWith(prefix, StringComparison.Ordinal))
                .Select(entry => entry.Name[prefix.Length..]).ToArray(), prefix);
    }

    [TestMethod]
    public void Training_changes_the_matrices_by_a_low_rank_and_the_classifier_and_nothing_else()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 8);
        using DisposeScope scope = NewDisposeScope();
        using SiglipForImageClassification model = SmallModel.New();
        Dictionary<string, Tensor> before = SmallModel.Copy(model);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, Options with
        {
            Epochs = 8,
            EmaDecay = 0.9,
            Lora = new() { Rank = 2, Targets = SiglipLoraTargets.Attention },
        });

        trainer.Train(dataset, dataset, new Report(_ => { }));

        Assert.AreEqual(1.0, trainer.Evaluate(dataset).Accuracy);
        Assert.IsTrue(model.parameters().All(parameter => parameter.requires_grad));
        string[] changed = SmallModel.Changed(model, before);
        CollectionAssert.AreEquivalent(
            (string[])["classifier.weight", "classifier.bias", .. before.Keys.Where(name => name.Contains("self_attn", StringComparison.Ordinal)
                && name.EndsWith("weight", StringComparison.Ordinal))], changed);
        foreach (string name in changed.Where(name => name.StartsWith(Layers, StringComparison.Ordinal)))
        {
            float[] values = linalg.svdvals((model.state_dict()[name] - before[name]).detach()).data<float>().ToArray();
            Assert.IsGreaterThan(1e-4f, values[0], name);
            Assert.IsLessThanOrEqualTo(1e-6f, values[2], name);
        }
    }

    [TestMethod]
    public void Measuring_in_between_changes_nothing()
    {
        using DisposeScope scope = NewDisposeScope();
        SiglipTrainingOptions options = Options with { EmaDecay = 0.5 };
        using SiglipForImageClassification model = SmallModel.New(), other = SmallModel.New();
        using var measured = new TrainingStep(model, options, CPU);
        using var plain = new TrainingStep(other, options, CPU);

        for (int i = 0; i < 4; i++)
        {
            foreach (TrainingStep step in (TrainingStep[])[measured, plain])
            {
                step.Begin(1e-2);
                step.Accumulate(SmallModel.Batch());
                step.Finish();
            }

            measured.Show();
            measured.Hide();
        }

        Dictionary<string, Tensor> expected = plain.State().ToDictionary(entry => entry.Name, entry => entry.Value);
        foreach ((string name, Tensor value) in measured.State())
            Assert.AreEqual(0, ReferenceModels.LargestDifference(value, expected[name]), name);
        Assert.AreEqual(plain.ComputeFrozenSha256(), measured.ComputeFrozenSha256());
    }

    [TestMethod]
    public void What_is_reported_kept_and_left_by_a_cancelled_training_is_a_plain_model()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("images"), imagesPerClass: 4);
        foreach (double averaging in (double[])[0, 0.8])
        {
            using SiglipForImageClassification model = SmallModel.New();
            using var trainer = new SiglipTrainer(model, ColouredImages.Processor, Options with { EmaDecay = averaging });
            using var cancellation = new CancellationTokenSource();
            int epochs = 0;
            Assert.Throws<OperationCanceledException>(() => trainer.Train(dataset, dataset, new Report(state =>
            {
                if (state.EndOfEpoch)
                {
                    epochs++;
                    Assert.AreEqual(state.Validation!.Loss, LossOfSaved(model), 1e-6);
                }

                if (state.Step == 8)
                    cancellation.Cancel();
            }), cancellation.Token));

            Assert.AreEqual(2, epochs);
            Assert.AreEqual(LossOfSaved(model), trainer.Evaluate(dataset).Loss, 1e-6);
            using SiglipForImageClassification untrained = SmallModel.New();
            Assert.AreNotEqual(LossOfSaved(untrained), LossOfSaved(model), 1e-3);
        }

        double LossOfSaved(SiglipForImageClassification model)
        {
            model.SavePretrained(folder.File("model"));
            using SiglipForImageClassification saved = SiglipForImageClassification.FromPretrained(folder.File("model"));
            using var trainer = new SiglipTrainer(saved, ColouredImages.Processor, new SiglipTrainingOptions { BatchSize = Options.BatchSize });
            return trainer.Evaluate(dataset).Loss;
        }
    }

    [TestMethod]
    public void Dropout_is_of_the_additions_inputs_in_training_only_and_follows_from_seed_and_step()
    {
        using DisposeScope scope = NewDisposeScope();
        (double Training, double Measuring) with = Losses(0.5, seed: 4), without = Losses(0, seed: 4);
        rand(17);
        Assert.AreEqual(with, Losses(0.5, seed: 4));
        Assert.AreNotEqual(with.Training, Losses(0.5, seed: 5).Training, 1e-6);
        Assert.AreNotEqual(without.Training, with.Training, 1e-6);
        Assert.AreEqual(without.Measuring, with.Measuring);
        Assert.AreEqual(without.Measuring, without.Training, 1e-6);

        static (double Training, double Measuring) Losses(double dropout, int seed)
        {
            using SiglipForImageClassification model = SmallModel.New();
            TrainingBatch batch = SmallModel.Batch();
            using var step = new TrainingStep(model, Options with { Seed = seed, ClassifierInput = SiglipClassifierInput.Mean, Lora = Options.Lora! with { Dropout = dropout } }, CPU);
            RandomAdditions(step);
            step.Begin(1e-3);
            double training = step.Accumulate(batch);
            model.eval();
            return (training, nn.functional.cross_entropy(model.call(batch.Inputs), batch.Targets).item<float>());
        }
    }

    [TestMethod]
    public void A_training_of_additions_leaves_no_tensor_behind()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 3);
        using SiglipForImageClassification model = SmallModel.New();

        Assert.AreEqual(0, TensorCount.LeftBy(() =>
        {
            using var trainer = new SiglipTrainer(model, ColouredImages.Processor, Options with { EmaDecay = 0.9, Lora = Options.Lora! with { Dropout = 0.1 } });
            trainer.Train(dataset, dataset, new Report(_ => { }));
        }));
    }

    [TestMethod]
    public void A_step_that_is_disposed_without_being_shown_leaves_the_model_as_it_was()
    {
        using DisposeScope scope = NewDisposeScope();
        using SiglipForImageClassification model = SmallModel.New();
        Dictionary<string, Tensor> before = SmallModel.Copy(model);
        using Tensor logits = model.call(SmallModel.Batch().Inputs);
        using (var step = new TrainingStep(model, Options, CPU))
            RandomAdditions(step);

        Assert.IsEmpty(SmallModel.Changed(model, before));
        Assert.AreEqual(0, ReferenceModels.LargestDifference(model.call(SmallModel.Batch().Inputs), logits));
        Assert.IsTrue(model.parameters().All(parameter => parameter.requires_grad));
    }

    [TestMethod]
    public void A_training_that_is_refused_leaves_the_model_as_it_was()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 1);
        using DisposeScope scope = NewDisposeScope();
        using SiglipForImageClassification model = SmallModel.New();
        Tensor logits = model.call(SmallModel.Batch().Inputs);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, Options with { WarmUpSteps = 99 });

        Assert.Contains("The warm-up has 99 steps", Assert.ThrowsExactly<ArgumentException>(() => trainer.Train(dataset)).Message);

        Assert.AreEqual(0, ReferenceModels.LargestDifference(model.call(SmallModel.Batch().Inputs), logits));
        Assert.IsTrue(model.parameters().All(parameter => parameter.requires_grad));
    }

    [TestMethod]
    public void Options_out_of_range_are_refused_by_name()
    {
        using SiglipForImageClassification model = SmallModel.New();
        Refused("Rank", new() { Rank = 0 });
        foreach (double alpha in (double[])[0, -1, double.NaN, double.PositiveInfinity])
            Refused("Alpha", new() { Alpha = alpha });
        foreach (double dropout in (double[])[-0.1, 1, double.NaN])
            Refused("Dropout", new() { Dropout = dropout });
        Refused("Targets", new() { Targets = SiglipLoraTargets.None });
        Refused("Targets", new() { Targets = (SiglipLoraTargets)64 });
        Assert.AreEqual("The rank of the additions is 17, but the model's matrices have a rank of at most 16; lower it.",
            Assert.ThrowsExactly<ArgumentException>(() => Trainer(new() { Rank = 17 })).Message);

        SiglipTrainer Trainer(SiglipLoraOptions lora) => new(model, ColouredImages.Processor, Options with { Lora = lora });

        void Refused(string name, SiglipLoraOptions lora) =>
            Assert.AreEqual(name, Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Trainer(lora)).ParamName, $"{lora}");
    }

    private static Dictionary<string, Tensor> Additions(TrainingStep step) =>
        step.State().Where(entry => entry.Name.StartsWith("model.", StringComparison.Ordinal) && entry.Name.Contains("lora", StringComparison.Ordinal))
            .ToDictionary(entry => entry.Name["model.".Length..], entry => entry.Value);

    // As if it had learned something: B starts with zeros.
    private static Dictionary<string, Tensor> RandomAdditions(TrainingStep step)
    {
        Dictionary<string, Tensor> additions = Additions(step);
        using IDisposable noGradients = no_grad();
        manual_seed(9);
        foreach (Tensor values in additions.Values)
            values.copy_(randn(values.shape) * 0.1);
        return additions;
    }

    private sealed class Report(Action<SiglipTrainingProgress> action) : IProgress<SiglipTrainingProgress>
    {
        void IProgress<SiglipTrainingProgress>.Report(SiglipTrainingProgress value) => action(value);
    }
}
