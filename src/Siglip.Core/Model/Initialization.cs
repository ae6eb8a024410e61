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

    /// <summary>The type of the parameters that modules of this thread allocate to be loaded, without values; null if they are to have torch's default type
    /// and initial values.</summary>
    [field: ThreadStatic]
    public static ScalarType? Dtype { get; private set; }

    /// <summary>Until disposal, modules that this thread creates have parameters of this type, and large matrices without values: they are about to be
    /// loaded.</summary>
    public static IDisposable Skip(ScalarType dtype)
    {
        Dtype = dtype;
        return new Skipping();
    }

    /// <summary>A linear layer. torch's own would draw values, which takes longer than loading them.</summary>
    public static Linear NewLinear(long from, long to) => Dtype is { } dtype
        ? nn.Linear(nn.Parameter(empty(to, from, dtype: dtype)), nn.Parameter(empty(to, dtype: dtype)))
        : nn.Linear(from, to);

    public static void XavierUniform(Tensor weight)
    {
        if (Dtype is null)
            nn.init.xavier_uniform_(weight);
    }

    public static void XavierUniform(Linear linear, double? biasDeviation = null)
    {
        if (Dtype is not null)
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
        if (Dtype is not null)
            return;

        // By the inverse of the distribution function, as torch does it; TorchSharp 0.107's trunc_normal_ gives every value the same number.
        using var noGradients = no_grad();
        using DisposeScope scope = NewDisposeScope();
        double deviation = Math.Sqrt(1.0 / fanIn) / DeviationOfCutNormal;
        nn.init.uniform_(weight, -ShareOfCutNormal, ShareOfCutNormal);
        weight.erfinv_().mul_(deviation * Math.Sqrt(2)).clamp_(-2 * deviation, 2 * deviation);
    }

    /// <summary>Gives two matrices W and V values so that WᵀV is about <paramref name="noise"/> times normal noise of variance 1 / columns, plus
    /// <paramref name="identity"/> times the identity: the best approximation of their number of rows.</summary>
    /// <param name="first">[rows, columns], rows ≤ columns.</param>
    /// <param name="second">The same.</param>
    /// <param name="noise">Weight of the noise.</param>
    /// <param name="identity">Weight of the identity.</param>
    public static void Mimetic(Tensor first, Tensor second, double noise, double identity)
    {
        using var noGradients = no_grad();
        using DisposeScope scope = NewDisposeScope();
        long rows = first.shape[0], columns = first.shape[1];
        Tensor product = (randn(columns, columns) * (noise / Math.Sqrt(columns))) + (eye(columns) * identity);
        (Tensor left, Tensor values, Tensor right) = linalg.svd(product, fullMatrices: false); // product = left · diag(values) · right
        Tensor roots = values.narrow(0, 0, rows).sqrt().unsqueeze(1); // [rows, 1]
        first.detach().copy_(left.narrow(1, 0, rows).t() * roots);
        second.detach().copy_(right.narrow(0, 0, rows) * roots);
    }

    /// <summary>Position embeddings of sines and cosines: half of the dimensions tell the row, half the column ("An Empirical Study of Training Self-Supervised
    /// Vision Transformers", 2021).</summary>
    /// <param name="weight">[side · side, hidden].</param>
    /// <param name="side">Number of rows and of columns.</param>
    public static void SineCosine(Tensor weight, long side)
    {
        using var noGradients = no_grad();
        using DisposeScope scope = NewDisposeScope();
        long hidden = weight.shape[1], quarter = (hidden + 3) / 4;
        Tensor frequencies = pow(10_000, arange(quarter, dtype: ScalarType.Float32) / -quarter); // [quarter]
        Tensor angles = arange(side, dtype: ScalarType.Float32).unsqueeze(1) * frequencies; // [side, quarter]
        Tensor positions = cat([angles.sin(), angles.cos()], 1); // [side, 2 · quarter]
        Tensor rows = positions.repeat_interleave(side, 0), columns = positions.repeat(side, 1); // [side · side, 2 · quarter]
        weight.detach().copy_(cat([rows, columns], 1).narrow(1, 0, hidden));
    }

    private sealed class Skipping : IDisposable
    {
        public void Dispose() => Dtype = null;
    }
}
