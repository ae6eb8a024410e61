using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The activation functions of transformers' ACT2FN that vision checkpoints use.</summary>
internal static class Activation
{
    private static readonly Dictionary<string, Func<Tensor, Tensor>> Functions = new()
    {
        ["gelu_pytorch_tanh"] = GeluTanh,
        ["gelu"] = static x => nn.functional.gelu(x),
        ["gelu_new"] = GeluTanh,
        ["quick_gelu"] = QuickGelu,
        ["relu"] = static x => nn.functional.relu(x),
        ["silu"] = static x => nn.functional.silu(x),
    };

    public static IReadOnlyCollection<string> Names => Functions.Keys;

    public static Func<Tensor, Tensor> Find(string name) => Functions[name];

    private static Tensor GeluTanh(Tensor x) => nn.functional.gelu(x, TorchSharp.Modules.GELU.Approximate.tanh);

    private static Tensor QuickGelu(Tensor x)
    {
        using Tensor gate = (x * 1.702).sigmoid();
        return x * gate;
    }
}
