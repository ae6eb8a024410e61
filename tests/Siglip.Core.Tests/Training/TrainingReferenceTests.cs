using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>The model under torch's own optimizers: its gradients are those of PyTorch, so the parameters are too.</summary>
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
        bool pooled = run.StartsWith("pooled", StringComparison.Ordinal), adamw = run.EndsWith("adamw", StringComparison.Ordinal);
        using SafetensorsFile expected = SafetensorsFile.Open(ReferenceData.PathOf("training", run + ".safetensors"));
        (SiglipForImageClassification model, Tensor pixelValues, Tensor labels) = TrainingReference.Start();
        using SiglipForImageClassification owned = model;
        using optim.Optimizer optimizer = adamw ? optim.AdamW(model.parameters(), lr: 3e-4, weight_decay: 0.01) : optim.SGD(model.parameters(), 0.02);
        var losses = new List<double>();
        model.train();

        for (int step = 1; step <= 6; step++)
        {
            Tensor logits = pooled ? model.ForwardBoth(pixelValues).OfPooled! : model.call(pixelValues);
            Tensor loss = nn.functional.cross_entropy(logits, labels);
            losses.Add(loss.to(float64).item<double>());
            if (step == 1)
                TrainingReference.CheckLogits(run, logits, expected);
            if (step == 6)
                break; // the loss after step 5

            optimizer.zero_grad();
            loss.backward();
            if (step == 1 && adamw)
                CheckGradients(run, model, expected);
            optimizer.step();
        }

        TrainingReference.CheckLosses(run, losses, expected);
        foreach ((string name, Parameter parameter) in Trained(model, expected, "after."))
        {
            if (adamw)
                TrainingReference.CheckAfterAdamW(run, name, parameter, expected);
            else
                TrainingReference.CheckAfterSgd(run, name, parameter, expected);
        }
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
