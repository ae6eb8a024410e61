using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Text.Json.Nodes;
using Siglip.Core;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Bench;

/// <summary>What the processor can do at most in float32, measured beside the models because its clock drifts.</summary>
internal static class Peak
{
    private const int Accumulators = 12; // more than the latency of a fused multiply-add times those that start in one cycle
    private const int Block = 200_000;

    /// <summary>A process that measures both rates once for each line.</summary>
    public static int Answer()
    {
        TorchNative.Ensure();
        using Tensor left = rand(1568, 768); // eight images of base-patch16-224
        using Tensor right = rand(768, 3072); // the first matrix of its MLP
        using Tensor product = empty(1568, 3072);
        return AnsweringLoop.Run(SiglipPeer.Versions(), _ => new JsonObject
        {
            ["registers_gflops"] = Registers(TimeSpan.FromMilliseconds(150)),
            ["matrix_gflops"] = Matrices(left, right, product),
        });
    }

    /// <summary>GFLOP/s of fused multiply-adds whose operands are all in registers, on all processors at once: nothing that computes in float32 is faster.</summary>
    public static double Registers(TimeSpan duration)
    {
        Warm(1);
        using var start = new Barrier(Environment.ProcessorCount);
        var rates = new double[Environment.ProcessorCount];
        Thread[] threads = [.. rates.Select((_, core) => new Thread(() =>
        {
            start.SignalAndWait();
            long begin = Stopwatch.GetTimestamp(), blocks = 0;
            for (; Stopwatch.GetElapsedTime(begin) < duration; blocks++)
                Warm(Block);
            rates[core] = 2e-9 * blocks * Block * Accumulators * Width / Stopwatch.GetElapsedTime(begin).TotalSeconds;
        }))];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            thread.Join();
        return rates.Sum();
    }

    private static int Width => Vector512.IsHardwareAccelerated ? Vector512<float>.Count : Vector256.IsHardwareAccelerated ? Vector256<float>.Count : Vector128<float>.Count;

    private static float Warm(int count) => Vector512.IsHardwareAccelerated ? Of512(count) : Vector256.IsHardwareAccelerated ? Of256(count) : Of128(count);

    // The three differ in the type only: a loop over an array of vectors, or a generic one, would not stay in registers.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float Of512(int count)
    {
        Vector512<float> factor = Vector512.Create(0.999f), term = Vector512.Create(0.001f);
        Vector512<float> a = term, b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a, k = a, l = a;
        for (int n = 0; n < count; n++)
        {
            a = Vector512.FusedMultiplyAdd(a, factor, term);
            b = Vector512.FusedMultiplyAdd(b, factor, term);
            c = Vector512.FusedMultiplyAdd(c, factor, term);
            d = Vector512.FusedMultiplyAdd(d, factor, term);
            e = Vector512.FusedMultiplyAdd(e, factor, term);
            f = Vector512.FusedMultiplyAdd(f, factor, term);
            g = Vector512.FusedMultiplyAdd(g, factor, term);
            h = Vector512.FusedMultiplyAdd(h, factor, term);
            i = Vector512.FusedMultiplyAdd(i, factor, term);
            j = Vector512.FusedMultiplyAdd(j, factor, term);
            k = Vector512.FusedMultiplyAdd(k, factor, term);
            l = Vector512.FusedMultiplyAdd(l, factor, term);
        }

        return Vector512.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float Of256(int count)
    {
        Vector256<float> factor = Vector256.Create(0.999f), term = Vector256.Create(0.001f);
        Vector256<float> a = term, b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a, k = a, l = a;
        for (int n = 0; n < count; n++)
        {
            a = Vector256.FusedMultiplyAdd(a, factor, term);
            b = Vector256.FusedMultiplyAdd(b, factor, term);
            c = Vector256.FusedMultiplyAdd(c, factor, term);
            d = Vector256.FusedMultiplyAdd(d, factor, term);
            e = Vector256.FusedMultiplyAdd(e, factor, term);
            f = Vector256.FusedMultiplyAdd(f, factor, term);
            g = Vector256.FusedMultiplyAdd(g, factor, term);
            h = Vector256.FusedMultiplyAdd(h, factor, term);
            i = Vector256.FusedMultiplyAdd(i, factor, term);
            j = Vector256.FusedMultiplyAdd(j, factor, term);
            k = Vector256.FusedMultiplyAdd(k, factor, term);
            l = Vector256.FusedMultiplyAdd(l, factor, term);
        }

        return Vector256.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float Of128(int count)
    {
        Vector128<float> factor = Vector128.Create(0.999f), term = Vector128.Create(0.001f);
        Vector128<float> a = term, b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a, k = a, l = a;
        for (int n = 0; n < count; n++)
        {
            a = Vector128.FusedMultiplyAdd(a, factor, term);
            b = Vector128.FusedMultiplyAdd(b, factor, term);
            c = Vector128.FusedMultiplyAdd(c, factor, term);
            d = Vector128.FusedMultiplyAdd(d, factor, term);
            e = Vector128.FusedMultiplyAdd(e, factor, term);
            f = Vector128.FusedMultiplyAdd(f, factor, term);
            g = Vector128.FusedMultiplyAdd(g, factor, term);
            h = Vector128.FusedMultiplyAdd(h, factor, term);
            i = Vector128.FusedMultiplyAdd(i, factor, term);
            j = Vector128.FusedMultiplyAdd(j, factor, term);
            k = Vector128.FusedMultiplyAdd(k, factor, term);
            l = Vector128.FusedMultiplyAdd(l, factor, term);
        }

        return Vector128.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }

    // The best of a few products: what disturbs one is not the library's limit.
    private static double Matrices(Tensor left, Tensor right, Tensor product)
    {
        double best = 0;
        for (int i = 0; i < 6; i++)
        {
            long start = Stopwatch.GetTimestamp();
            product.addmm_(left, right, beta: 0, alpha: 1); // in place: new memory would be part of the time
            best = Math.Max(best, 2e-9 * left.shape[0] * left.shape[1] * right.shape[1] / Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        return best;
    }
}
