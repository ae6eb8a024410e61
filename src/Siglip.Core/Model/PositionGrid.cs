using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Resizes a grid of position embeddings as torch's <c>interpolate</c> does with mode bilinear, align_corners=False and antialias=True, which
/// TorchSharp does not offer.</summary>
/// <remarks>Along each axis every new position is a mean of old ones with triangle weights, which widen with the reduction. A product of matrices, so that
/// training can go through it, and right for grids of one column, too, where torch 2.6 is not.</remarks>
internal static class PositionGrid
{
    /// <param name="grid">[rows, columns, hidden], float32.</param>
    /// <param name="rows">Rows of the result, at least 1.</param>
    /// <param name="columns">Columns of the result, at least 1.</param>
    /// <returns>[rows, columns, hidden], in the open dispose scope.</returns>
    public static Tensor Resize(Tensor grid, long rows, long columns)
    {
        long oldRows = grid.shape[0], oldColumns = grid.shape[1], hidden = grid.shape[2];
        Tensor narrowed = Weights(oldColumns, columns, grid.device).matmul(grid); // [old rows, columns, hidden]
        return Weights(oldRows, rows, grid.device).matmul(narrowed.reshape(oldRows, columns * hidden)) // [rows, columns * hidden]
            .reshape(rows, columns, hidden);
    }

    // [size, old size]; each row sums to 1
    private static Tensor Weights(long oldSize, long size, Device device)
    {
        double scale = (double)oldSize / size;
        double support = Math.Max(scale, 1); // half the width of the triangle
        var weights = new float[size, oldSize];
        var exact = new double[oldSize];
        for (long i = 0; i < size; i++)
        {
            double centre = (i + 0.5) * scale;
            for (long k = 0; k < oldSize; k++)
                exact[k] = Math.Max(1 - (Math.Abs(k + 0.5 - centre) / support), 0);
            double sum = exact.Sum();
            for (long k = 0; k < oldSize; k++)
                weights[i, k] = (float)(exact[k] / sum);
        }

        return tensor(weights, device: device).clone(); // in torch's own memory, whose alignment is always the same, and so the last bit of a product
    }
}
