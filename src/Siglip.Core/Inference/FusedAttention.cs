using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Multi-head attention in float32 for processors with AVX-512: the scores of 16 queries at a time are in the cache only, one query to a lane.</summary>
/// <remarks>
/// So maxima and sums of a softmax need nothing across lanes, and both products read one vector for 16 multiply-adds. libtorch's own kernel calls MKL for small products,
/// which does not use AVX-512 on every processor that has it.
/// </remarks>
internal static unsafe class FusedAttention
{
    private const int Lanes = 16; // queries at a time, and keys or values of a head for which sums are held in registers

    /// <summary>Attends.</summary>
    /// <param name="projected">[batch · patches, 3 · hidden]: query, key and value side by side; contiguous, on the CPU.</param>
    /// <param name="batch">Number of images.</param>
    /// <param name="heads">Number of heads.</param>
    /// <param name="attentionMask">Boolean [batch, 1, 1, patches], true for those that are attended to; null for all.</param>
    /// <returns>[batch · patches, hidden].</returns>
    public static Tensor Attend(Tensor projected, int batch, int heads, Tensor? attentionMask)
    {
        int patches = (int)projected.shape[0] / batch, hidden = (int)projected.shape[1] / 3;
        if (!Vector512.IsHardwareAccelerated)
            return WithTorch(projected, batch, heads, attentionMask);

        using DisposeScope scope = NewDisposeScope();
        ScalarType dtype = projected.dtype;
        projected = projected.to(float32);
        Tensor attended = empty(projected.shape[0], hidden);
        float* from = projected.Pointer<float>(), to = attended.Pointer<float>();
        byte* mask = attentionMask is null ? null : attentionMask.expand(batch, 1, 1, patches).contiguous().Pointer<byte>();
        TorchThreads.For(batch * heads, (begin, end) =>
        {
            using var head = new Head(patches, hidden, hidden / heads);
            for (int item = begin; item < end; item++)
            {
                int image = item / heads, column = item % heads * (hidden / heads);
                long row = (long)image * patches;
                head.Attend(from + (row * 3 * hidden) + column, to + (row * hidden) + column, mask is null ? null : mask + row);
            }
        });
        return attended.to(dtype).MoveToOuterDisposeScope();
    }

    private static Tensor WithTorch(Tensor projected, int batch, int heads, Tensor? attentionMask)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor parts = projected.view(batch, projected.shape[0] / batch, 3, heads, -1).permute(2, 0, 3, 1, 4); // [3, batch, heads, patches, headSize]
        Tensor attended = nn.functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], attentionMask); // [batch, heads, patches, headSize]
        return attended.transpose(1, 2).reshape(projected.shape[0], -1).MoveToOuterDisposeScope();
    }

    /// <summary>The memory of one thread, for one head after the other.</summary>
    private readonly struct Head : IDisposable
    {
        private readonly int _patches;
        private readonly int _hidden;
        private readonly int _size; // of a head
        private readonly int _keyStride; // patches, rounded up to 4
        private readonly int _valueStride; // head size, rounded up to the lanes
        private readonly float* _keys; // [size, keyStride], transposed
        private readonly float* _values; // [patches, valueStride]
        private readonly float* _queries; // [size, lanes], transposed
        private readonly float* _scores; // [keyStride, lanes], transposed
        private readonly float* _results; // [valueStride, lanes], transposed

        public Head(int patches, int hidden, int size)
        {
            (_patches, _hidden, _size) = (patches, hidden, size);
            (_keyStride, _valueStride) = ((patches + 3) & ~3, (size + Lanes - 1) & ~(Lanes - 1));
            nuint keys = (nuint)(size * _keyStride), values = (nuint)(patches * _valueStride), lanes = Lanes;
            nuint count = keys + values + (lanes * (nuint)(size + _keyStride + _valueStride));
            _keys = (float*)NativeMemory.AlignedAlloc(count * sizeof(float), 64);
            NativeMemory.Clear(_keys, count * sizeof(float)); // what pads rows and columns
            _values = _keys + keys;
            _queries = _values + values;
            _scores = _queries + (lanes * (nuint)size);
            _results = _scores + (lanes * (nuint)_keyStride);
        }

        /// <param name="query">The first value of the head in the first row of [patches, 3 · hidden].</param>
        /// <param name="result">The first value of the head in the first row of [patches, hidden].</param>
        /// <param name="mask">[patches], 0 for those that are not attended to; null for all.</param>
        public void Attend(float* query, float* result, byte* mask)
        {
            Transpose(query + _hidden, 3 * _hidden, _patches, _size, _keys, _keyStride);
            for (int patch = 0; patch < _patches; patch++)
                new ReadOnlySpan<float>(query + (2 * _hidden) + ((long)patch * 3 * _hidden), _size).CopyTo(new Span<float>(_values + (patch * _valueStride), _size));

            for (int first = 0; first < _patches; first += Lanes)
            {
                int count = Math.Min(Lanes, _patches - first);
                Transpose(query + ((long)first * 3 * _hidden), 3 * _hidden, count, _size, _queries, Lanes);
                int key = 0;
                for (; key <= _keyStride - Lanes; key += Lanes)
                    Multiply(_queries, _size, _keys + key, _keyStride, _scores + (key * Lanes));
                for (; key < _keyStride; key += 4)
                    MultiplyFour(_queries, _size, _keys + key, _keyStride, _scores + (key * Lanes));
                Vector512<float> factor = Softmax(mask);
                for (int column = 0; column < _valueStride; column += Lanes)
                    Multiply(_scores, _patches, _values + column, _valueStride, _results + (column * Lanes));
                for (int column = 0; column < _size; column++)
                    (Vector512.Load(_results + (column * Lanes)) * factor).Store(_results + (column * Lanes));
                Transpose(_results, Lanes, _size, count, result + ((long)first * _hidden), _hidden);
            }
        }

        public void Dispose() => NativeMemory.AlignedFree(_keys);

        // The scores become their exponentials, relative to the largest of each query. Returns 1 / their sum.
        private Vector512<float> Softmax(byte* mask)
        {
            Vector512<float> scale = Vector512.Create(1 / MathF.Sqrt(_size)), largest = Vector512.Create(float.NegativeInfinity), sum = Vector512<float>.Zero;
            for (int key = 0; key < _patches; key++)
            {
                float* scores = _scores + (key * Lanes);
                if (mask is not null && mask[key] == 0)
                    Vector512.Create(float.NegativeInfinity).Store(scores);
                largest = Vector512.Max(largest, Vector512.Load(scores));
            }

            for (int key = 0; key < _patches; key++)
            {
                float* scores = _scores + (key * Lanes);
                Vector512<float> exponential = VectorExp.Exp((Vector512.Load(scores) - largest) * scale);
                sum += exponential;
                exponential.Store(scores);
            }

            return Vector512<float>.One / sum;
        }
    }

    // For 16 columns c of the right: result[c, lane] = Σ left[i, lane] · right[i, c].
    private static void Multiply(float* left, int count, float* right, int stride, float* result)
    {
        Vector512<float> s0 = Vector512<float>.Zero, s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
        Vector512<float> s8 = s0, s9 = s0, s10 = s0, s11 = s0, s12 = s0, s13 = s0, s14 = s0, s15 = s0;
        for (int i = 0; i < count; i++, left += Lanes, right += stride)
        {
            Vector512<float> x = Vector512.Load(left);
            s0 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[0]), s0);
            s1 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[1]), s1);
            s2 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[2]), s2);
            s3 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[3]), s3);
            s4 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[4]), s4);
            s5 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[5]), s5);
            s6 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[6]), s6);
            s7 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[7]), s7);
            s8 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[8]), s8);
            s9 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[9]), s9);
            s10 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[10]), s10);
            s11 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[11]), s11);
            s12 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[12]), s12);
            s13 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[13]), s13);
            s14 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[14]), s14);
            s15 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[15]), s15);
        }

        s0.Store(result);
        s1.Store(result + Lanes);
        s2.Store(result + (2 * Lanes));
        s3.Store(result + (3 * Lanes));
        s4.Store(result + (4 * Lanes));
        s5.Store(result + (5 * Lanes));
        s6.Store(result + (6 * Lanes));
        s7.Store(result + (7 * Lanes));
        s8.Store(result + (8 * Lanes));
        s9.Store(result + (9 * Lanes));
        s10.Store(result + (10 * Lanes));
        s11.Store(result + (11 * Lanes));
        s12.Store(result + (12 * Lanes));
        s13.Store(result + (13 * Lanes));
        s14.Store(result + (14 * Lanes));
        s15.Store(result + (15 * Lanes));
    }

    // The same for 4 columns.
    private static void MultiplyFour(float* left, int count, float* right, int stride, float* result)
    {
        Vector512<float> s0 = Vector512<float>.Zero, s1 = s0, s2 = s0, s3 = s0;
        for (int i = 0; i < count; i++, left += Lanes, right += stride)
        {
            Vector512<float> x = Vector512.Load(left);
            s0 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[0]), s0);
            s1 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[1]), s1);
            s2 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[2]), s2);
            s3 = Vector512.FusedMultiplyAdd(x, Vector512.Create(right[3]), s3);
        }

        s0.Store(result);
        s1.Store(result + Lanes);
        s2.Store(result + (2 * Lanes));
        s3.Store(result + (3 * Lanes));
    }

    // to[column, row] = from[row, column], in squares of 4 x 4 as far as they go.
    private static void Transpose(float* from, int fromStride, int rows, int columns, float* to, int toStride)
    {
        int row = 0;
        for (; row <= rows - 4; row += 4)
        {
            float* source = from + ((long)row * fromStride);
            int column = 0;
            for (; column <= columns - 4; column += 4)
                TransposeSquare(source + column, fromStride, to + ((long)column * toStride) + row, toStride);
            for (; column < columns; column++)
            {
                for (int i = 0; i < 4; i++)
                    to[((long)column * toStride) + row + i] = source[((long)i * fromStride) + column];
            }
        }

        for (; row < rows; row++)
        {
            for (int column = 0; column < columns; column++)
                to[((long)column * toStride) + row] = from[((long)row * fromStride) + column];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void TransposeSquare(float* from, int fromStride, float* to, int toStride)
    {
        Vector128<float> a = Vector128.Load(from), b = Vector128.Load(from + fromStride);
        Vector128<float> c = Vector128.Load(from + (2L * fromStride)), d = Vector128.Load(from + (3L * fromStride));
        Vector128<float> lowAB = Sse.UnpackLow(a, b), lowCD = Sse.UnpackLow(c, d), highAB = Sse.UnpackHigh(a, b), highCD = Sse.UnpackHigh(c, d);
        Sse.MoveLowToHigh(lowAB, lowCD).Store(to);
        Sse.MoveHighToLow(lowCD, lowAB).Store(to + toStride);
        Sse.MoveLowToHigh(highAB, highCD).Store(to + (2L * toStride));
        Sse.MoveHighToLow(highCD, highAB).Store(to + (3L * toStride));
    }
}
