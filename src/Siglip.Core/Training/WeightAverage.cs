using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>An exponential moving average of weights.</summary>
internal sealed class WeightAverage : IDisposable
{
    private readonly double _decay;
    private readonly (string Name, Parameter Parameter, Tensor Average)[] _weights;

    public WeightAverage(IEnumerable<(string Name, Parameter Parameter)> weights, double decay)
    {
        _decay = decay;
        using IDisposable noGradients = no_grad();
        _weights = [.. weights.Select(entry => (entry.Name, entry.Parameter, entry.Parameter.clone().DetachFromDisposeScope()))];
    }

    /// <summary>The averages by the names of the weights; while they are swapped, the weights.</summary>
    public IEnumerable<(string Name, Tensor Average)> All => _weights.Select(weight => (weight.Name, weight.Average));

    /// <param name="step">Number of steps done, this one included.</param>
    public void Add(long step)
    {
        double decay = Math.Min(_decay, (1.0 + step) / (10 + step));
        using IDisposable noGradients = no_grad();
        foreach ((_, Parameter parameter, Tensor average) in _weights)
            average.mul_(decay).add_(parameter, alpha: 1 - decay);
    }

    /// <summary>Gives the parameters the averages and keeps the weights in their place; called again, the other way round.</summary>
    public void Swap()
    {
        using IDisposable noGradients = no_grad();
        foreach ((_, Parameter parameter, Tensor average) in _weights)
        {
            using Tensor weight = parameter.clone();
            parameter.copy_(average);
            average.copy_(weight);
        }
    }

    public void Dispose()
    {
        foreach ((_, _, Tensor average) in _weights)
            average.Dispose();
    }
}
