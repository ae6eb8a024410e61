using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Siglip.Core;

/// <summary>What lies between two products of integers, row by row, so that a row is read from memory once.</summary>
/// <remarks>A row x of 8 bits stands for scale · x + smallest. So its product with weights w is scale · Σ x·w + smallest · Σ w.</remarks>
internal static unsafe class Int8Rows
{
    private const int Lanes = 16;

    /// <summary>Turns a product of integers into what it stands for.</summary>
    /// <param name="product">[count]: Σ x·w for each output; replaced.</param>
    /// <param name="count">Number of outputs.</param>
    /// <param name="row">How the row x is to be read.</param>
    /// <param name="sums">[count]: Σ w for each output.</param>
    /// <param name="bias">[count].</param>
    public static void Dequantize(float* product, int count, QuantizedRow row, float* sums, float* bias)
    {
        int i = 0;
        for (; i <= count - Lanes; i += Lanes)
            Value(product, i, row, sums, bias).Store(product + i);
        for (; i < count; i++)
            product[i] = ValueAt(product, i, row, sums, bias);
    }

    /// <summary>The same, added to the residual.</summary>
    public static void DequantizeAndAdd(float* product, int count, QuantizedRow row, float* sums, float* bias, float* residual)
    {
        int i = 0;
        for (; i <= count - Lanes; i += Lanes)
            (Vector512.Load(residual + i) + Value(product, i, row, sums, bias)).Store(residual + i);
        for (; i < count; i++)
            residual[i] += ValueAt(product, i, row, sums, bias);
    }

    /// <summary>The same as <see cref="Dequantize"/>, followed by GELU in its tanh form.</summary>
    public static void DequantizeAndGelu(float* product, int count, QuantizedRow row, float* sums, float* bias)
    {
        int i = 0;
        for (; i <= count - Lanes; i += Lanes)
            GeluTanh(Value(product, i, row, sums, bias)).Store(product + i);
        for (; i < count; i++)
            product[i] = GeluTanh(Vector512.Create(ValueAt(product, i, row, sums, bias)))[0];
    }

    /// <summary>Layer norm.</summary>
    /// <param name="x">[count].</param>
    /// <param name="count">Number of values.</param>
    /// <param name="weight">[count].</param>
    /// <param name="bias">[count].</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="result">[count].</param>
    public static void Normalize(float* x, int count, float* weight, float* bias, float epsilon, float* result)
    {
        float mean = Sum(x, count, 0, squares: false) / count;
        float factor = 1 / MathF.Sqrt((Sum(x, count, mean, squares: true) / count) + epsilon);
        int i = 0;
        for (; i <= count - Lanes; i += Lanes)
        {
            Vector512<float> normal = (Vector512.Load(x + i) - Vector512.Create(mean)) * Vector512.Create(factor);
            Vector512.FusedMultiplyAdd(normal, Vector512.Load(weight + i), Vector512.Load(bias + i)).Store(result + i);
        }

        for (; i < count; i++)
            result[i] = MathF.FusedMultiplyAdd((x[i] - mean) * factor, weight[i], bias[i]);
    }

    /// <summary>Quantizes a row: the smallest value becomes 0, the largest the largest level.</summary>
    /// <param name="x">[count]. A NaN makes scale and smallest value NaN, and so all that is computed of the row.</param>
    /// <param name="count">Number of values.</param>
    /// <param name="levels">The largest level.</param>
    /// <param name="result">[count].</param>
    public static QuantizedRow Quantize(float* x, int count, int levels, byte* result)
    {
        (float smallest, float largest) = Range(x, count);
        float scale = (largest - smallest) / levels;
        float inverse = scale > 0 ? 1 / scale : 0;
        int i = 0;
        for (; i <= count - (4 * Lanes); i += 4 * Lanes)
        {
            Vector512<ushort> low = Vector512.Narrow(Levels(x + i, smallest, inverse), Levels(x + i + Lanes, smallest, inverse));
            Vector512<ushort> high = Vector512.Narrow(Levels(x + i + (2 * Lanes), smallest, inverse), Levels(x + i + (3 * Lanes), smallest, inverse));
            Vector512.Narrow(low, high).Store(result + i);
        }

        for (; i < count; i++)
            result[i] = (byte)(int)MathF.FusedMultiplyAdd(x[i] - smallest, inverse, 0.5f);
        return new QuantizedRow(scale, smallest);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Levels(float* x, float smallest, float inverse) => Vector512.ConvertToUInt32Native(
        Vector512.FusedMultiplyAdd(Vector512.Load(x) - Vector512.Create(smallest), Vector512.Create(inverse), Vector512.Create(0.5f)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Value(float* product, int at, QuantizedRow row, float* sums, float* bias) => Vector512.FusedMultiplyAdd(
        Vector512.Load(product + at),
        Vector512.Create(row.Scale),
        Vector512.FusedMultiplyAdd(Vector512.Load(sums + at), Vector512.Create(row.Smallest), Vector512.Load(bias + at)));

    private static float ValueAt(float* product, int at, QuantizedRow row, float* sums, float* bias) =>
        MathF.FusedMultiplyAdd(product[at], row.Scale, MathF.FusedMultiplyAdd(sums[at], row.Smallest, bias[at]));

    // x / (1 + exp(-2u)) with u = sqrt(2 / pi) · (x + 0.044715 x³), which is x / 2 · (1 + tanh u).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> GeluTanh(Vector512<float> x)
    {
        const float Linear = -2 * 0.7978845608f, Cubic = Linear * 0.044715f;
        Vector512<float> exponent = x * Vector512.FusedMultiplyAdd(x * x, Vector512.Create(Cubic), Vector512.Create(Linear));
        return x / (Vector512<float>.One + VectorExp.Exp(exponent));
    }

    private static float Sum(float* x, int count, float minus, bool squares)
    {
        Vector512<float> sums = Vector512<float>.Zero;
        int i = 0;
        for (; i <= count - Lanes; i += Lanes)
        {
            Vector512<float> difference = Vector512.Load(x + i) - Vector512.Create(minus);
            sums += squares ? difference * difference : difference;
        }

        float sum = Vector512.Sum(sums);
        for (; i < count; i++)
            sum += squares ? (x[i] - minus) * (x[i] - minus) : x[i] - minus;
        return sum;
    }

    private static (float Smallest, float Largest) Range(float* x, int count)
    {
        float smallest = x[0], largest = x[0];
        int i = 0;
        if (count >= Lanes)
        {
            Vector512<float> low = Vector512.Load(x), high = low;
            for (; i <= count - Lanes; i += Lanes)
            {
                Vector512<float> values = Vector512.Load(x + i);
                (low, high) = (Vector512.Min(low, values), Vector512.Max(high, values)); // of NaN and a number: NaN
            }

            for (int lane = 0; lane < Lanes; lane++)
                (smallest, largest) = (MathF.Min(smallest, low[lane]), MathF.Max(largest, high[lane]));
        }

        for (; i < count; i++)
            (smallest, largest) = (MathF.Min(smallest, x[i]), MathF.Max(largest, x[i]));
        return (smallest, largest);
    }
}
