using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>The steps that <see cref="SiglipTrainer"/> takes, against those of PyTorch.</summary>
[TestClass]
public sealed class TrainingReferenceTests
{
    [TestMethod]
    [DataRow("mean_adamw")]
    [DataRow("mean_sgd")]
    [DataRow("pooled_adamw")]
    [DataRow("pooled_sgd")]
    public void Five_steps_give_the_losses_gradients_and_parameters_of_PyTorch(string run)
    {
        using DisposeScope scope = NewDisposeScope();
        SiglipTrainingOptions options = TrainingReference.Options(run);
        using SafetensorsFile expected = SafetensorsFile.Open(ReferenceData.PathOf("training", run + ".safetensors"));
        (SiglipForImageClassification model, TrainingBatch batch) = TrainingReference.StartWithBatch();
        using SiglipForImageClassification owned = model;
        using var step = new TrainingStep(model, options, CPU);
        Dictionary<string, Tensor> before = model.state_dict().ToDictionary(pair => pair.Key, pair => pair.Value.clone());
        bool adamw = options.Optimizer == SiglipOptimizer.AdamW;
        var losses = new List<double>();
        TrainingReference.CheckLogits(run, step.Logits(batch.Inputs).Single(), expected);

        for (int i = 1; i <= 5; i++)
        {
            step.Begin(options.LearningRate);
            losses.Add(step.Accumulate(batch));
            if (i == 1 && adamw)
                CheckGradients(run, model, expected);
            step.Finish();
        }

        step.Begin(options.LearningRate);
        losses.Add(step.Accumulate(batch)); // the loss after step 5
        TrainingReference.CheckLosses(run, losses, expected);
        List<(string Name, Parameter Parameter)> trained = Trained(model, expected, "after.");
        foreach ((string name, Parameter parameter) in trained)
        {
            if (adamw)
                TrainingReference.CheckAfterAdamW(run, name, parameter, expected);
            else
                TrainingReference.CheckAfterSgd(run, name, parameter, expected);
        }

        foreach ((string name, Parameter parameter) in model.named_parameters().ExceptBy(trained.Select(entry => entry.Name), entry => entry.name))
            Assert.AreEqual(0, ReferenceModels.LargestDifference(parameter, before[name]), $"{name} has no gradient and must stay as it was");
    }

    private static void CheckGradients(string run, SiglipForImageClassification model, SafetensorsFile expected)
    {
        foreach ((string name, Parameter parameter) in Trained(model, expected, "grad."))
            TrainingReference.CheckGradient(run, name, parameter.grad!, expected);
    }

    // The parameters that the file has: all but those of the pooling head, if the loss does not pass through it.
    private static List<(string Name, Parameter Parameter)> Trained(SiglipForImageClassification model, SafetensorsFile expected, string prefix)
    {
        List<(string Name, Parameter Parameter)> trained = [.. model.named_parameters().Where(parameter => parameter.parameter.grad is not null)];
        CollectionAssert.AreEquivalent(
            expected.Tensors.Keys.Where(name => name.StartsWith(prefix, StringComparison.Ordinal)).Select(name => name[prefix.Length..]).ToArray(),
            trained.Select(parameter => parameter.Name).ToArray());
        return trained;
    }
}
