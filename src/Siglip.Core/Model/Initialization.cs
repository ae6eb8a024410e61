using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The initial values of a new model.</summary>
/// <remarks>Source: transformers 4.57, modeling_siglip.py, _init_weights. Random numbers come from torch's generator: see <see cref="manual_seed"/>.</remarks>
internal static class Initialization
{
    // Standard deviation of a normal distribution of deviation 1 that is cut at plus and minus 2.
    private const double DeviationOfCutNormal = 0.87962566103423978;

    public static void XavierUniform(Linear linear, double? biasDeviation = null)
    {
        nn.init.xavier_uniform_(linear.weight!);
        if (biasDeviation is { } deviation)
            nn.init.normal_(linear.bias!, 0, deviation);
        else
            nn.init.zeros_(linear.bias!);
    }

    /// <summary>Normal, cut at two standard deviations and widened so that the variance is 1 / <paramref name="fanIn"/>.</summary>
    public static void LecunNormal(Tensor weight, long fanIn)
    {
        double deviation = Math.Sqrt(1.0 / fanIn) / DeviationOfCutNormal;
        nn.init.trunc_normal_(weight, 0, deviation, -2 * deviation, 2 * deviation);
    }
}
