using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>A low-rank addition to a weight matrix: W + scale · B · A. It is either attached, and can be trained, or merged into the matrix.</summary>
/// <remarks>Source: "LoRA: Low-Rank Adaptation of Large Language Models", 2021; names and start values as in peft: A is uniform (Kaiming with a = √5, which is
/// within ±1/√inputs), B is zero, so that nothing is added at first.</remarks>
internal sealed class LoraAddition : IDisposable
{
    private readonly string _name;
    private readonly Linear _linear;
    private readonly double _scale;
    private readonly double _dropout;
    private readonly Parameter _a; // [rank, inputs]
    private readonly Parameter _b; // [outputs, rank]
    private Tensor? _unmerged; // the matrix without the addition, while it is merged
    private Action? _detach;

    private LoraAddition(string name, Linear linear, SiglipLoraOptions options, Generator generator)
    {
        (_name, _linear, _scale, _dropout) = (name, linear, options.Alpha / options.Rank, options.Dropout);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGradients = no_grad();
        long outputs = linear.weight!.shape[0], inputs = linear.weight.shape[1];
        Tensor uniform = (rand(options.Rank, inputs, generator: generator) * 2) - 1;
        _a = Owned(uniform / Math.Sqrt(inputs));
        _b = Owned(zeros(outputs, options.Rank));
        Attach();

        Parameter Owned(Tensor values)
        {
            Parameter parameter = nn.Parameter(values.to(linear.weight.device));
            parameter.DetachFromDisposeScope();
            return parameter;
        }
    }

    /// <summary>What is trained.</summary>
    public IEnumerable<(string Name, Parameter Parameter)> Parameters => [($"{_name}.lora_A.weight", _a), ($"{_name}.lora_B.weight", _b)];

    /// <summary>Attaches additions to matrices of a model's encoder layers.</summary>
    /// <param name="model">The model, on its device.</param>
    /// <param name="options">To which matrices, and how large.</param>
    /// <param name="layers">Number of layers that get some, the last ones.</param>
    /// <param name="seed">Decides the start values.</param>
    public static LoraAddition[] AttachTo(SiglipForImageClassification model, SiglipLoraOptions options, int layers, int seed)
    {
        using var generator = new Generator((ulong)(uint)seed, CPU); // not torch's own, whose next numbers are the caller's
        return
        [
            .. model.named_modules()
                .Where(entry => WeightDepth.IsOfLayer(entry.name) && WeightDepth.Of(entry.name, model.Config.NumHiddenLayers) <= layers)
                .Where(entry => entry.module is Linear && options.Targets.HasFlag(TargetOf(entry.name)))
                .Select(entry => new LoraAddition(entry.name, (Linear)entry.module, options, generator)),
        ];
    }

    /// <summary>Has the module add to its output what the addition makes of its input; a merged matrix gets the values back that it had, to the bit.</summary>
    public void Attach()
    {
        if (_unmerged is not null)
        {
            using IDisposable noGradients = no_grad();
            _linear.weight!.copy_(_unmerged);
            _unmerged.Dispose();
            _unmerged = null;
        }

        _detach = _linear.register_forward_hook((_, input, output) =>
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor kept = _dropout > 0 ? nn.functional.dropout(input, _dropout, _linear.training) : input;
            Tensor low = nn.functional.linear(kept, _a); // [..., rank]
            return output.add(nn.functional.linear(low, _b), alpha: _scale).MoveToOuterDisposeScope(); // [..., outputs]
        }).remove;
    }

    /// <summary>Adds the addition to the matrix; the module is a plain one again.</summary>
    public void Merge()
    {
        _detach?.Invoke();
        _detach = null;
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGradients = no_grad();
        _unmerged = _linear.weight!.clone().DetachFromDisposeScope();
        _linear.weight.add_(_b.matmul(_a), alpha: _scale);
    }

    public void Dispose()
    {
        _detach?.Invoke();
        _unmerged?.Dispose();
        _a.Dispose();
        _b.Dispose();
    }

    private static SiglipLoraTargets TargetOf(string name) => name[(name.LastIndexOf('.') + 1)..] switch
    {
        "q_proj" => SiglipLoraTargets.Query,
        "k_proj" => SiglipLoraTargets.Key,
        "v_proj" => SiglipLoraTargets.Value,
        "out_proj" => SiglipLoraTargets.Output,
        _ => SiglipLoraTargets.Mlp,
    };
}
