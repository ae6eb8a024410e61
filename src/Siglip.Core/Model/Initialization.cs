using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The initial values of a new model.</summary>
/// <remarks>Source: transformers 4.57, modeling_siglip.py, _init_weights. Random numbers come from torch's generator: see <see cref="manual_seed"/>.</remarks>
internal static class Initialization
{
    // Of a normal distribution of deviation 1: the deviation of what is left when it is cut at plus and minus 2, and erf(2 / √2), the share that is left.
    private const double DeviationOfCutNormal = 0.87962566103423978;
    private const double ShareOfCutNormal = 0.95449973610364158;

    [ThreadStatic]
    private static bool _skipped;

    /// <summary>Until disposal, modules that this thread creates keep whatever torch left in the large matrices: they are about to be loaded.</summary>
    public static IDisposable Skip()
    {
        _skipped = true;
        return new Skipping();
    }

    public static void XavierUniform(Linear linear, double? biasDeviation = null)
    {
        if (_skipped)
            return;
        nn.init.xavier_uniform_(linear.weight!);
        if (biasDeviation is { } deviation)
            nn.init.normal_(linear.bias!, 0, deviation);
        else
            nn.init.zeros_(linear.bias!);
    }

    /// <summary>Normal, cut at two standard deviations and widened so that the variance is 1 / <paramref name="fanIn"/>.</summary>
    public static void LecunNormal(Tensor weight, long fanIn)
    {
        if (_skipped)
            return;

        // By the inverse of the distribution function, as torch does it; TorchSharp 0.107's trunc_normal_ gives every value the same number.
        using var noGradients = no_grad();
        using DisposeScope scope = NewDisposeScope();
        double deviation = Math.Sqrt(1.0 / fanIn) / DeviationOfCutNormal;
        nn.init.uniform_(weight, -ShareOfCutNormal, ShareOfCutNormal);
        weight.erfinv_().mul_(deviation * Math.Sqrt(2)).clamp_(-2 * deviation, 2 * deviation);
    }

    private sealed class Skipping : IDisposable
    {
        public void Dispose() => _skipped = false;
    }
}
