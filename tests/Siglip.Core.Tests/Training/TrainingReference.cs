using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>Five steps of training as PyTorch did them, in Reference/training.</summary>
internal static class TrainingReference
{
    public static SiglipVisionConfig Config => SiglipVisionConfig.FromJson(File.ReadAllText(ReferenceData.PathOf("training", "config.json")));

    /// <summary>The model with its start weights, the batch, and its labels.</summary>
    public static (SiglipForImageClassification Model, Tensor PixelValues, Tensor Labels) Start()
    {
        var model = new SiglipForImageClassification(Config, [.. Enumerable.Range(0, LabelCount()).Select(i => $"class {i}")]);
        using SafetensorsFile weights = SafetensorsFile.Open(ReferenceData.PathOf("training", "model.safetensors"));
        using SafetensorsFile batch = SafetensorsFile.Open(ReferenceData.PathOf("training", "batch.safetensors"));
        using (no_grad())
        {
            foreach ((string name, Parameter parameter) in model.named_parameters())
                parameter.copy_((weights.Tensors.ContainsKey(name) ? weights : batch).Read(name));
        }

        return (model, batch.Read("pixel_values"), batch.Read("labels"));
    }

    /// <summary>The model with its start weights, and the batch as the trainer has it.</summary>
    public static (SiglipForImageClassification Model, TrainingBatch Batch) StartWithBatch()
    {
        (SiglipForImageClassification model, Tensor pixelValues, Tensor labels) = Start();
        return (model, new TrainingBatch(pixelValues, nn.functional.one_hot(labels, LabelCount()).to(float32)));
    }

    /// <summary>What a run of the reference did: one group of parameters, one loss.</summary>
    /// <param name="run">Such as <c>mean_adamw</c>.</param>
    public static SiglipTrainingOptions Options(string run)
    {
        bool adamw = run.EndsWith("_adamw", StringComparison.Ordinal);
        return new SiglipTrainingOptions
        {
            ClassifierInput = run.StartsWith("pooled_", StringComparison.Ordinal) ? SiglipClassifierInput.Pooled : SiglipClassifierInput.Mean,
            Optimizer = adamw ? SiglipOptimizer.AdamW : SiglipOptimizer.Sgd,
            LearningRate = adamw ? 3e-4 : 0.02,
            WeightDecay = adamw ? 0.01 : 0,
            DecayAllParameters = true,
            MaxGradientNorm = double.PositiveInfinity,
        };
    }

    private static int LabelCount()
    {
        using SafetensorsFile batch = SafetensorsFile.Open(ReferenceData.PathOf("training", "batch.safetensors"));
        return (int)batch.Tensors["classifier.bias"].Shape[0];
    }

    public static void CheckLosses(string run, IEnumerable<double> losses, SafetensorsFile expected)
    {
        using Tensor found = tensor(losses.ToArray()), reference = expected.Read("losses_fp64");
        Check(run, "losses", found, reference, ReferenceModels.AreaTolerance("training", "losses"));
    }

    /// <summary>The logits before the first step. They have no tolerance of their own: they are as close as the losses.</summary>
    public static void CheckLogits(string run, Tensor logits, SafetensorsFile expected)
    {
        using Tensor reference = expected.Read("logits_step1");
        Check(run, "logits of step 1", logits, reference, ReferenceModels.AreaTolerance("training", "losses"));
    }

    public static void CheckGradient(string run, string name, Tensor gradient, SafetensorsFile expected)
    {
        using Tensor reference = expected.Read($"grad.{name}");
        Check(run, "gradients of step 1", gradient, reference, ReferenceModels.AreaTolerance("training", "gradients at step 1"));
    }

    public static void CheckAfterSgd(string run, string name, Tensor value, SafetensorsFile expected)
    {
        using Tensor reference = expected.Read($"after.{name}");
        Check(run, "parameters after 5 steps", value, reference, ReferenceModels.AreaTolerance("training", "parameters after 5 steps, SGD"));
    }

    /// <summary>The tolerances are those that tolerances.json states in words.</summary>
    /// <remarks>
    /// The exact gradient of a bias of the keys is zero, because softmax ignores a shift. AdamW turns what rounding leaves of it into steps.
    /// </remarks>
    public static void CheckAfterAdamW(string run, string name, Tensor value, SafetensorsFile expected)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor reference = expected.Read($"after.{name}");
        if (name.EndsWith("k_proj.bias", StringComparison.Ordinal))
        {
            Check(run, "key biases after 5 steps", value, reference, 1.5e-3);
        }
        else if (name.EndsWith("in_proj_bias", StringComparison.Ordinal))
        {
            Tensor[] found = value.chunk(3), thirds = reference.chunk(3); // queries, keys, values
            Check(run, "parameters after 5 steps", found[0], thirds[0], 2e-5);
            Check(run, "key biases after 5 steps", found[1], thirds[1], 1.5e-3);
            Check(run, "parameters after 5 steps", found[2], thirds[2], 2e-5);
        }
        else
        {
            Check(run, "parameters after 5 steps", value, reference, 2e-5);
        }
    }

    private static void Check(string run, string output, Tensor actual, Tensor expected, double tolerance) =>
        ParityReport.OfThisRun.Check(ParityArea.Training, run, output, ReferenceModels.LargestDifference(actual, expected), tolerance);
}
