using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The directions in which rows of numbers differ most.</summary>
/// <param name="Projections">[rows, components], row-major: where each row lies along each component, from the rows' mean.</param>
/// <param name="Components">[components, size], row-major: directions of length 1. Their largest value is positive.</param>
/// <param name="Shares">[components]: the share of the rows' variance along each; falling.</param>
internal sealed record PrincipalComponents(float[] Projections, float[] Components, float[] Shares)
{
    /// <summary>Computes them.</summary>
    /// <param name="rows">[rows, size], row-major, at least one row.</param>
    /// <param name="size">Numbers of a row.</param>
    /// <param name="count">Components; those beyond the number of rows or their size are 0.</param>
    public static PrincipalComponents Of(float[] rows, int size, int count)
    {
        TorchNative.Ensure();
        using var noGradients = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor values = tensor(rows, [rows.Length / size, size], float64); // a copy, as the type is another one
        Tensor centred = values - values.mean([0], keepdim: true);
        (_, Tensor lengths, Tensor directions) = linalg.svd(centred, fullMatrices: false); // [rank], [rank, size]
        long found = Math.Min(count, lengths.shape[0]);
        Tensor components = zeros(count, size, float64);
        components[..(int)found] = directions[..(int)found];

        // A direction and its opposite are equally good: always the same one.
        Tensor largest = components.gather(1, components.abs().argmax(1, keepdim: true)); // [count, 1]
        components = where(largest < 0, -components, components);
        Tensor variances = lengths.square(), shares = zeros(count, float64);
        double total = variances.sum().item<double>();
        if (total > 0)
            shares[..(int)found] = variances[..(int)found] / total;
        return new PrincipalComponents(ToArray(centred.matmul(components.t())), ToArray(components), ToArray(shares));
    }

    private static float[] ToArray(Tensor values) => values.to(float32).contiguous().data<float>().ToArray();
}
