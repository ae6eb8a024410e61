using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>torch's AdamW or SGD over parameters in groups: with weight decay and without, and each with the learning rate of its layer.</summary>
internal sealed class TrainingOptimizer : IDisposable
{
    public const string StepsPrefix = "steps.";
    private const string MomentumPrefix = "momentum.";

    private readonly OptimizerHelper _optimizer;
    private readonly (string Name, Parameter Parameter)[] _parameters;
    private readonly double[] _factors; // of the groups' learning rates

    /// <param name="weights">The parameters of a model.</param>
    /// <param name="layers">Number of its layers.</param>
    /// <param name="options">How they are changed.</param>
    public TrainingOptimizer(IEnumerable<(string Name, Parameter Parameter)> weights, int layers, SiglipTrainingOptions options)
    {
        (string Name, Parameter Parameter)[][] groups =
            [.. weights.GroupBy(entry => (IsDecayed(entry), Factor(entry))).OrderByDescending(group => group.Key).Select(group => group.ToArray())];
        _parameters = [.. groups.SelectMany(group => group)];
        _factors = [.. groups.Select(group => Factor(group[0]))];
        _optimizer = options.Optimizer == SiglipOptimizer.AdamW
            ? optim.AdamW([.. groups.Select(group => new AdamW.ParamGroup(
                Of(group), options.LearningRate, options.Beta1, options.Beta2, options.Epsilon, Decay(group)))], options.LearningRate)
            : optim.SGD([.. groups.Select(group => new SGD.ParamGroup(
                Of(group), options.LearningRate, options.Momentum, weight_decay: Decay(group)))], options.LearningRate);

        // Weight matrices and the probe: everything with two dimensions or more except the position embeddings.
        bool IsDecayed((string Name, Parameter Parameter) entry) =>
            options.DecayAllParameters
            || (entry.Parameter.dim() >= 2 && !entry.Name.EndsWith("position_embedding.weight", StringComparison.Ordinal));

        double Factor((string Name, Parameter Parameter) entry) => Math.Pow(options.LayerLearningRateDecay, WeightDepth.Of(entry.Name, layers));

        double Decay((string, Parameter)[] group) => IsDecayed(group[0]) ? options.WeightDecay : 0;

        static IEnumerable<Parameter> Of((string Name, Parameter Parameter)[] group) => group.Select(entry => entry.Parameter).ToArray();
    }

    /// <summary>The parameters that have a gradient now.</summary>
    public IEnumerable<Parameter> WithGradient => _parameters.Select(entry => entry.Parameter).Where(parameter => parameter.grad is not null);

    public void Step(double learningRate)
    {
        foreach ((var group, double factor) in _optimizer.ParamGroups.Zip(_factors))
            group.LearningRate = learningRate * factor;
        _optimizer.step();
    }

    /// <summary>What the optimizer remembers of each parameter. The tensors are its own, except numbers of steps, which belong to the open scope.</summary>
    public IEnumerable<(string Name, Tensor Value)> State()
    {
        foreach (((string name, _), OptimizerState state) in _parameters.Zip(_optimizer.state_dict().State))
        {
            if (state is AdamW.State adamw)
            {
                yield return ("exp_avg." + name, adamw.exp_avg);
                yield return ("exp_avg_sq." + name, adamw.exp_avg_sq);
                yield return (StepsPrefix + name, tensor(adamw.step));
            }
            else if (state is SGD.State { momentum_buffer: not null } sgd)
            {
                yield return (MomentumPrefix + name, sgd.momentum_buffer);
            }
        }
    }

    /// <summary>Makes room for what <see cref="State"/> of another process had and this one has not yet: SGD's momentum comes with the first step.</summary>
    /// <param name="has">Whether it had a tensor of a name.</param>
    public void Prepare(Func<string, bool> has)
    {
        foreach (((string name, Parameter parameter), OptimizerState state) in _parameters.Zip(_optimizer.state_dict().State))
        {
            if (state is SGD.State { momentum_buffer: null } sgd && has(MomentumPrefix + name))
                sgd.momentum_buffer = zeros_like(parameter, requires_grad: false).DetachFromDisposeScope();
        }
    }

    /// <summary>Restores the number of steps that the optimizer has counted for each parameter, which is no tensor there.</summary>
    public void RestoreSteps(Func<string, long> read)
    {
        foreach (((string name, _), OptimizerState state) in _parameters.Zip(_optimizer.state_dict().State))
        {
            if (state is AdamW.State adamw)
                adamw.step = read(StepsPrefix + name);
        }
    }

    public void Dispose() => _optimizer.Dispose();
}
