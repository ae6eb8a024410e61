using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>A copy of the trained weights after the epoch with the lowest validation loss.</summary>
internal sealed class BestWeights : IDisposable
{
    private readonly (string Name, Parameter Parameter, Tensor Best)[] _weights;

    public BestWeights(IEnumerable<(string Name, Parameter Parameter)> weights)
    {
        using IDisposable noGradients = no_grad();
        _weights = [.. weights.Select(entry => (entry.Name, entry.Parameter, entry.Parameter.clone().DetachFromDisposeScope()))];
    }

    /// <summary>The epoch, from 1; 0 as long as there is none.</summary>
    public int Epoch { get; private set; }

    /// <summary>Its validation loss.</summary>
    public double Loss { get; private set; } = double.PositiveInfinity;

    /// <summary>The copies by the names of the weights.</summary>
    public IEnumerable<(string Name, Tensor Best)> All => _weights.Select(weight => (weight.Name, weight.Best));

    /// <summary>Copies the model's weights if their loss is the lowest one. A loss that is not a number is not.</summary>
    public void Offer(int epoch, double loss)
    {
        if (!(loss < Loss))
            return;
        (Epoch, Loss) = (epoch, loss);
        Copy(weight => (weight.Best, weight.Parameter));
    }

    /// <summary>Gives the model the best weights; without any it keeps its own.</summary>
    public void ToModel()
    {
        if (Epoch > 0)
            Copy(weight => (weight.Parameter, weight.Best));
    }

    /// <summary>What another process had, beside <see cref="All"/>.</summary>
    public void Restore(int epoch, double loss) => (Epoch, Loss) = (epoch, loss);

    public void Dispose()
    {
        foreach ((_, _, Tensor best) in _weights)
            best.Dispose();
    }

    private void Copy(Func<(string Name, Parameter Parameter, Tensor Best), (Tensor To, Tensor From)> direction)
    {
        using IDisposable noGradients = no_grad();
        foreach ((Tensor to, Tensor from) in _weights.Select(direction))
            to.copy_(from);
    }
}
