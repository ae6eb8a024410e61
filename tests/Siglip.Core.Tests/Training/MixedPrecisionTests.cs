using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class MixedPrecisionTests
{
    private static readonly SiglipTrainingOptions BFloat16 = new()
    {
        Precision = SiglipPrecision.BFloat16,
        MaxGradientNorm = double.PositiveInfinity,
        EmaDecay = 0.9,
        PatchDropout = 0.25,
    };

    // 8 bits of precision are 0.4 % of rounding in each product; the gradient as a whole keeps its direction.
    [TestMethod]
    public void Loss_and_gradients_are_those_of_float32_within_the_precision_of_bfloat16()
    {
        using DisposeScope scope = NewDisposeScope();
        (SiglipForImageClassification model, TrainingBatch batch) = TrainingReference.StartWithBatch();
        (SiglipForImageClassification other, _) = TrainingReference.StartWithBatch();
        using var inFloat32 = new TrainingStep(model, BFloat16 with { Precision = SiglipPrecision.Float32, PatchDropout = 0 }, CPU);
        using var inBFloat16 = new TrainingStep(other, BFloat16 with { PatchDropout = 0 }, CPU);

        inFloat32.Begin(1e-3);
        inBFloat16.Begin(1e-3);
        double expected = inFloat32.Accumulate(batch), loss = inBFloat16.Accumulate(batch);

        Assert.AreEqual(expected, loss, 0.01 * expected);
        Assert.AreNotEqual(expected, loss);
        (double dot, double squares, double otherSquares) = (0, 0, 0);
        foreach ((string name, Parameter parameter) in model.named_parameters())
        {
            Tensor gradient = parameter.grad!, rounded = other.get_parameter(name)!.grad!;
            Assert.AreEqual(ScalarType.Float32, rounded.dtype, name);
            dot += (gradient * rounded).sum().item<float>();
            squares += gradient.square().sum().item<float>();
            otherSquares += rounded.square().sum().item<float>();
        }

        Assert.IsGreaterThan(0.999, dot / Math.Sqrt(squares * otherSquares));
        Assert.AreEqual(1, Math.Sqrt(otherSquares / squares), 0.02);
    }

    [TestMethod]
    public void Gradients_of_several_batches_add_up_in_float32()
    {
        using DisposeScope scope = NewDisposeScope();
        (SiglipForImageClassification model, TrainingBatch batch) = TrainingReference.StartWithBatch();
        using var step = new TrainingStep(model, BFloat16 with { PatchDropout = 0 }, CPU);
        var halves = new TrainingBatch[] { new(batch.Inputs[..4], batch.Targets[..4]), new(batch.Inputs[4..], batch.Targets[4..]) };

        Tensor first = GradientOf(halves[0]), second = GradientOf(halves[1]), both = GradientOf(halves);

        Assert.AreEqual(0, ReferenceModels.LargestDifference(both, first + second));

        Tensor GradientOf(params TrainingBatch[] batches)
        {
            step.Begin(1e-3);
            foreach (TrainingBatch each in batches)
                step.Accumulate(each);
            return model.get_parameter("vision_model.encoder.layers.0.mlp.fc1.weight")!.grad!.clone();
        }
    }

    [TestMethod]
    public void Weights_moments_and_averages_stay_float32_and_so_does_what_is_computed_outside_of_steps()
    {
        using DisposeScope scope = NewDisposeScope();
        (SiglipForImageClassification model, TrainingBatch batch) = TrainingReference.StartWithBatch();
        using var step = new TrainingStep(model, BFloat16, CPU);
        Tensor before = model.get_parameter("classifier.weight")!.detach().clone();

        step.Begin(1e-5); // steps of 1e-5 are below the precision of bfloat16
        step.Accumulate(batch);
        step.Finish();

        Assert.IsTrue(step.State().All(entry => entry.Value.dtype == ScalarType.Float32 || entry.Name.StartsWith("steps.", StringComparison.Ordinal)));
        double change = (model.get_parameter("classifier.weight")! - before).abs().max().item<float>();
        Assert.IsTrue(change is > 0 and < 1.1e-5, $"{change}");
        Assert.AreEqual(ScalarType.Float32, model.call(batch.Inputs).dtype);
        Assert.Throws<ArgumentException>(() => step.Accumulate(batch with { Inputs = zeros(1, 3, 5, 5) }));
        Assert.AreEqual(ScalarType.Float32, model.call(batch.Inputs).dtype, "after an error, too");
    }

    [TestMethod]
    public void A_measurement_is_in_float32()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.Path, imagesPerClass: 4);
        using SiglipForImageClassification model = NewModel(dataset);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, BFloat16 with { Epochs = 4, BatchSize = 4, LearningRate = 1e-2 });
        using var inFloat32 = new SiglipTrainer(model, ColouredImages.Processor, new SiglipTrainingOptions { BatchSize = 4 });
        SiglipEvaluation? last = null;

        trainer.Train(dataset, dataset, new Report(state => last = state.Validation));

        Assert.AreEqual(inFloat32.Evaluate(dataset).Loss, last!.Loss);
        Assert.AreEqual(1, last.Accuracy);
    }

    [TestMethod]
    public void Killed_and_resumed_a_training_ends_with_the_same_weights_to_the_bit()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("images"), imagesPerClass: 4);
        SiglipTrainingOptions options = BFloat16 with
        {
            Epochs = 2,
            BatchSize = 2,
            GradientAccumulation = 2,
            StatePath = folder.File("state.safetensors"),
            StateInterval = 1,
        };
        float[] expected = Train(options, dataset, _ => { });
        CollectionAssert.AreNotEqual(expected, Train(options with { Precision = SiglipPrecision.Float32 }, dataset, _ => { }));

        for (int killed = 1; killed <= 4; killed++)
        {
            File.Delete(options.StatePath!);
            Assert.ThrowsExactly<TimeZoneNotFoundException>(() => Train(options, dataset, state =>
            {
                if (state.Step == killed)
                    throw new TimeZoneNotFoundException();
            }));
            CollectionAssert.AreEqual(expected, Train(options with { Resume = true }, dataset, _ => { }), $"killed in step {killed}");
        }
    }

    [TestMethod]
    public void Steps_leave_no_tensor_behind()
    {
        using DisposeScope scope = NewDisposeScope();
        (SiglipForImageClassification model, TrainingBatch batch) = TrainingReference.StartWithBatch();
        using var step = new TrainingStep(model, BFloat16, CPU);

        Assert.AreEqual(0, TensorCount.LeftBy(() =>
        {
            step.Begin(1e-3);
            step.Accumulate(batch);
            step.Accumulate(batch);
            step.Finish();
        }));
    }

    // All weights that a training ends with.
    private static float[] Train(SiglipTrainingOptions options, ImageFolderDataset dataset, Action<SiglipTrainingProgress> report)
    {
        using SiglipForImageClassification model = NewModel(dataset);
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, options);
        trainer.Train(dataset, progress: new Report(report));
        using DisposeScope scope = NewDisposeScope();
        return [.. model.named_parameters().SelectMany(entry => entry.parameter.detach().data<float>().ToArray())];
    }

    private static SiglipForImageClassification NewModel(ImageFolderDataset dataset)
    {
        TorchNative.Ensure();
        manual_seed(1);
        return new SiglipForImageClassification(ColouredImages.Config with { AttentionDropout = 0.2 }, dataset.Labels);
    }

    private sealed class Report(Action<SiglipTrainingProgress> action) : IProgress<SiglipTrainingProgress>
    {
        void IProgress<SiglipTrainingProgress>.Report(SiglipTrainingProgress value) => action(value);
    }
}
