using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class TrainingStepTests
{
    private static SiglipTrainingOptions Plain => TrainingReference.Options("mean_adamw");

    // The rule of "Decoupled Weight Decay Regularization", algorithm 2, in double precision, with settings at which each term counts.
    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void AdamW_is_the_published_rule_for_any_setting(bool decayAll)
    {
        using DisposeScope scope = NewDisposeScope();
        const double Rate = 0.01, Decay = 0.5, Beta1 = 0.7, Beta2 = 0.8, Epsilon = 1e-3;
        (SiglipForImageClassification model, TrainingBatch batch) = TrainingReference.StartWithBatch();
        SiglipTrainingOptions options = Plain with { WeightDecay = Decay, Beta1 = Beta1, Beta2 = Beta2, Epsilon = Epsilon, DecayAllParameters = decayAll };
        using var step = new TrainingStep(model, options, CPU);
        var weights = model.named_parameters().ToDictionary(entry => entry.name, entry => ToDouble(entry.parameter));
        var firsts = weights.ToDictionary(pair => pair.Key, pair => zeros_like(pair.Value));
        var seconds = weights.ToDictionary(pair => pair.Key, pair => zeros_like(pair.Value));

        for (int i = 1; i <= 3; i++)
        {
            step.Begin(Rate * i); // as a schedule does
            step.Accumulate(batch);
            foreach ((string name, Parameter parameter) in model.named_parameters().Where(entry => entry.parameter.grad is not null))
            {
                Tensor gradient = ToDouble(parameter.grad!), weight = weights[name];
                firsts[name] = (firsts[name] * Beta1) + (gradient * (1 - Beta1));
                seconds[name] = (seconds[name] * Beta2) + (gradient * gradient * (1 - Beta2));
                Tensor first = firsts[name] / (1 - Math.Pow(Beta1, i)), second = seconds[name] / (1 - Math.Pow(Beta2, i));
                bool decayed = decayAll || (parameter.dim() >= 2 && !name.Contains("position_embedding", StringComparison.Ordinal));
                weights[name] = weight - (weight * (decayed ? Rate * i * Decay : 0)) - (first / (second.sqrt() + Epsilon) * (Rate * i));
            }

            step.Finish();
        }

        foreach ((string name, Parameter parameter) in model.named_parameters())
            Assert.IsLessThanOrEqualTo(2e-6, ReferenceModels.LargestDifference(parameter, weights[name]), name);
    }

    [TestMethod]
    public void Sgd_is_the_rule_of_torch_with_momentum_and_decay()
    {
        using DisposeScope scope = NewDisposeScope();
        const double Rate = 0.02, Decay = 0.3, Momentum = 0.9;
        (SiglipForImageClassification model, TrainingBatch batch) = TrainingReference.StartWithBatch();
        using var step = new TrainingStep(model, Plain with { Optimizer = SiglipOptimizer.Sgd, WeightDecay = Decay, Momentum = Momentum }, CPU);
        Tensor weight = ToDouble(model.state_dict()["classifier.weight"]), velocity = zeros_like(weight);

        for (int i = 1; i <= 3; i++)
        {
            step.Begin(Rate);
            step.Accumulate(batch);
            velocity = (velocity * Momentum) + ToDouble(model.get_parameter("classifier.weight")!.grad!) + (weight * Decay);
            weight = weight - (velocity * Rate);
            step.Finish();
        }

        Assert.IsLessThanOrEqualTo(1e-6, ReferenceModels.LargestDifference(model.state_dict()["classifier.weight"], weight));
    }

    [TestMethod]
    [DataRow(new[] { 8 })]
    [DataRow(new[] { 4, 4 })]
    [DataRow(new[] { 2, 2, 2, 2 })]
    [DataRow(new[] { 3, 3, 2 })]
    [DataRow(new[] { 1, 7 })]
    public void Gradients_of_several_batches_are_those_of_one_with_all_images(int[] parts)
    {
        using DisposeScope scope = NewDisposeScope();
        (SiglipForImageClassification model, TrainingBatch batch) = TrainingReference.StartWithBatch();
        (SiglipForImageClassification other, _) = TrainingReference.StartWithBatch();
        using var whole = new TrainingStep(model, Plain, CPU);
        using var inParts = new TrainingStep(other, Plain, CPU);

        whole.Begin(1e-3);
        whole.Accumulate(batch);
        double loss = whole.Finish();
        inParts.Begin(1e-3);
        int from = 0;
        foreach (int count in parts)
        {
            inParts.Accumulate(new TrainingBatch(batch.Inputs[from..(from + count)], batch.Targets[from..(from + count)]));
            from += count;
        }

        double partsLoss = inParts.Finish();

        Assert.AreEqual(loss, partsLoss, 1e-6);
        foreach ((string name, Parameter parameter) in model.named_parameters().Where(entry => entry.parameter.grad is not null))
            Assert.IsLessThanOrEqualTo(1e-6, ReferenceModels.LargestDifference(other.get_parameter(name)!.grad!, parameter.grad!), name);
    }

    [TestMethod]
    public void Gradients_are_cut_to_the_norm()
    {
        using DisposeScope scope = NewDisposeScope();
        Assert.AreEqual(0.1, NormAfter(0.1), 1e-5);
        double free = NormAfter(double.PositiveInfinity);
        Assert.IsGreaterThan(0.2, free);
        Assert.AreEqual(free, NormAfter(1e9), 0);

        static double NormAfter(double most)
        {
            (SiglipForImageClassification model, TrainingBatch batch) = TrainingReference.StartWithBatch();
            using var step = new TrainingStep(model, Plain with { MaxGradientNorm = most }, CPU);
            step.Begin(1e-3);
            step.Accumulate(batch);
            step.Finish();
            return Math.Sqrt(model.parameters().Where(parameter => parameter.grad is not null).Sum(parameter => ToDouble(parameter.grad!).square().sum().item<double>()));
        }
    }

    [TestMethod]
    public void The_average_follows_the_weights_and_can_be_swapped_with_them()
    {
        using DisposeScope scope = NewDisposeScope();
        (SiglipForImageClassification model, TrainingBatch batch) = TrainingReference.StartWithBatch();
        using var step = new TrainingStep(model, Plain with { EmaDecay = 0.25 }, CPU);
        Tensor weight = model.state_dict()["classifier.weight"], average = ToDouble(weight);

        for (int i = 1; i <= 4; i++)
        {
            step.Begin(0.01);
            step.Accumulate(batch);
            step.Finish();
            double decay = Math.Min(0.25, (1.0 + i) / (10 + i)); // 2/11, 3/12 and from then on 0.25
            average = (average * decay) + (ToDouble(weight) * (1 - decay));
        }

        Tensor trained = weight.clone();
        Assert.IsGreaterThan(1e-4, ReferenceModels.LargestDifference(weight, average));
        step.Average!.Swap();
        Assert.IsLessThanOrEqualTo(1e-7, ReferenceModels.LargestDifference(weight, average));
        step.Average.Swap();
        Assert.AreEqual(0, ReferenceModels.LargestDifference(weight, trained));
    }

    [TestMethod]
    public void Label_smoothing_is_that_of_torch_with_class_numbers()
    {
        using DisposeScope scope = NewDisposeScope();
        (SiglipForImageClassification model, Tensor pixelValues, Tensor labels) = TrainingReference.Start();
        (_, TrainingBatch batch) = TrainingReference.StartWithBatch();
        using var step = new TrainingStep(model, Plain with { LabelSmoothing = 0.1 }, CPU);

        step.Begin(1e-3);

        Assert.AreEqual(nn.functional.cross_entropy(model.call(pixelValues), labels, label_smoothing: 0.1).item<float>(), step.Accumulate(batch), 1e-6);
    }

    [TestMethod]
    public void The_loss_of_both_embeddings_is_the_mean_of_the_loss_of_each()
    {
        using DisposeScope scope = NewDisposeScope();
        Assert.AreEqual(
            (LossOf(SiglipClassifierInput.Mean) + LossOf(SiglipClassifierInput.Pooled)) / 2, LossOf(SiglipClassifierInput.MeanAndPooled), 1e-6);
        Assert.AreNotEqual(LossOf(SiglipClassifierInput.Mean), LossOf(SiglipClassifierInput.Pooled), 1e-3);

        static double LossOf(SiglipClassifierInput input)
        {
            (SiglipForImageClassification model, TrainingBatch batch) = TrainingReference.StartWithBatch();
            using var step = new TrainingStep(model, Plain with { ClassifierInput = input }, CPU);
            step.Begin(1e-3);
            return step.Accumulate(batch);
        }
    }

    [TestMethod]
    public void Frozen_parameters_stay_as_they_are()
    {
        using DisposeScope scope = NewDisposeScope();
        (SiglipForImageClassification model, TrainingBatch batch) = TrainingReference.StartWithBatch();
        Dictionary<string, Tensor> before = model.state_dict().ToDictionary(pair => pair.Key, pair => pair.Value.clone());
        foreach ((string name, Parameter parameter) in model.named_parameters().Where(entry => !entry.name.StartsWith("classifier.", StringComparison.Ordinal)))
            parameter.requires_grad = false;
        using var step = new TrainingStep(model, Plain with { WeightDecay = 0.5 }, CPU);

        step.Begin(0.1);
        step.Accumulate(batch);
        step.Finish();

        foreach ((string name, Tensor value) in model.state_dict())
            Assert.AreEqual(name.StartsWith("classifier.", StringComparison.Ordinal), ReferenceModels.LargestDifference(value, before[name]) > 0, name);
    }

    [TestMethod]
    public void Dropout_depends_on_the_seed_and_the_step_only()
    {
        using DisposeScope scope = NewDisposeScope();
        double first = LossOf(seed: 3);
        rand(17);
        Assert.AreEqual(first, LossOf(seed: 3));
        Assert.AreNotEqual(first, LossOf(seed: 4));

        static double LossOf(int seed)
        {
            TorchNative.Ensure();
            manual_seed(1);
            using var model = new SiglipForImageClassification(ColouredImages.Config with { AttentionDropout = 0.5 }, ["blue", "red"]);
            using var step = new TrainingStep(model, new SiglipTrainingOptions { Seed = seed }, CPU);
            using var batch = new TrainingBatch(linspace(-1, 1, 4 * 3 * 64).reshape(4, 3, 8, 8), eye(2).repeat(2, 1));
            step.Begin(1e-3);
            return step.Accumulate(batch);
        }
    }

    [TestMethod]
    [DataRow(SiglipOptimizer.AdamW)]
    [DataRow(SiglipOptimizer.Sgd)]
    public void Steps_leave_no_tensor_behind(SiglipOptimizer optimizer)
    {
        using DisposeScope scope = NewDisposeScope();
        (SiglipForImageClassification model, TrainingBatch batch) = TrainingReference.StartWithBatch();
        using var step = new TrainingStep(model, new SiglipTrainingOptions { Optimizer = optimizer, Momentum = 0.9, EmaDecay = 0.9 }, CPU);

        Assert.AreEqual(0, TensorCount.LeftBy(() =>
        {
            step.Begin(1e-3);
            step.Accumulate(batch);
            step.Accumulate(batch);
            step.Finish();
            step.Average!.Swap();
            step.Average.Swap();
        }));
    }

    [TestMethod]
    public void A_disposed_step_leaves_no_tensor_behind()
    {
        using DisposeScope scope = NewDisposeScope();
        (SiglipForImageClassification model, TrainingBatch batch) = TrainingReference.StartWithBatch();

        Assert.AreEqual(0, TensorCount.LeftBy(() =>
        {
            using (var step = new TrainingStep(model, new SiglipTrainingOptions { EmaDecay = 0.9 }, CPU))
            {
                step.Begin(1e-3);
                step.Accumulate(batch);
                step.Finish();
            }
        }));
    }

    [TestMethod]
    public void A_training_that_diverges_stops_before_it_harms_the_model()
    {
        using DisposeScope scope = NewDisposeScope();
        (SiglipForImageClassification model, TrainingBatch batch) = TrainingReference.StartWithBatch();
        using var step = new TrainingStep(model, Plain, CPU);
        step.Begin(1e-4);
        step.Accumulate(batch);
        step.Finish();
        Dictionary<string, Tensor> before = model.state_dict().ToDictionary(pair => pair.Key, pair => pair.Value.clone());

        step.Begin(2e-4);
        var error = Assert.ThrowsExactly<InvalidOperationException>(() => step.Accumulate(batch with { Inputs = batch.Inputs * float.NaN }));

        Assert.StartsWith("The loss of step 2 is NaN, at the learning rate 0.0002: the training diverged. Try a lower learning rate than 0.0003,", error.Message);
        Assert.EndsWith("The model is as step 1 left it.", error.Message);
        foreach ((string name, Tensor value) in model.state_dict())
            Assert.AreEqual(0, ReferenceModels.LargestDifference(value, before[name]), name);
    }

    [TestMethod]
    public void Gradients_that_are_not_finite_stop_the_training_before_they_harm_the_model()
    {
        using DisposeScope scope = NewDisposeScope();
        (SiglipForImageClassification model, TrainingBatch batch) = TrainingReference.StartWithBatch();
        using var step = new TrainingStep(model, Plain, CPU);
        using (no_grad())
            model.state_dict()["classifier.weight"].mul_(1e30f); // a loss within float32, and gradients whose squares are beyond it
        Dictionary<string, Tensor> before = model.state_dict().ToDictionary(pair => pair.Key, pair => pair.Value.clone());

        step.Begin(3e-4);
        step.Accumulate(batch);
        var error = Assert.ThrowsExactly<InvalidOperationException>(() => step.Finish());

        Assert.StartsWith("The norm of the gradients of step 1 is ", error.Message);
        foreach ((string name, Tensor value) in model.state_dict())
            Assert.AreEqual(0, ReferenceModels.LargestDifference(value, before[name]), name);
    }

    [TestMethod]
    public void A_model_without_pooling_head_has_no_pooled_embedding_to_train()
    {
        using var model = new SiglipForImageClassification(ColouredImages.Config with { VisionUseHead = false }, ["blue", "red"]);

        var error = Assert.ThrowsExactly<ArgumentException>(
            () => new SiglipTrainer(model, ColouredImages.Processor, new SiglipTrainingOptions { ClassifierInput = SiglipClassifierInput.Pooled }));

        Assert.Contains("the model has no pooling head", error.Message);
    }

    private static Tensor ToDouble(Tensor tensor) => tensor.detach().to(float64, copy: true);
}
