using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>The cosines of the angles between vectors.</summary>
internal static class CosineSimilarity
{
    /// <summary>The similarity of one row to all.</summary>
    /// <param name="rows">[rows, size], row-major.</param>
    /// <param name="size">Numbers of a row.</param>
    /// <param name="chosen">The row to which all are compared.</param>
    /// <returns>[rows], from -1 to 1; 0 where a row has no direction.</returns>
    public static float[] ToAll(float[] rows, int size, int chosen) => Compute(rows, size, directions => directions[chosen]);

    /// <summary>The similarity of every row to all.</summary>
    /// <returns>[rows, rows], row-major.</returns>
    /// <inheritdoc cref="ToAll"/>
    public static float[] OfAll(float[] rows, int size) => Compute(rows, size, directions => directions.t());

    private static float[] Compute(float[] rows, int size, Func<Tensor, Tensor> others)
    {
        TorchNative.Ensure();
        using var noGradients = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor directions = nn.functional.normalize(tensor(rows, [rows.Length / size, size]).clone(), dim: 1);
        return directions.matmul(others(directions)).clamp(-1, 1).contiguous().data<float>().ToArray();
    }
}
