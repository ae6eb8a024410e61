using System.Runtime.Intrinsics;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>The kernels of inference, each beside what torch computes.</summary>
[TestClass]
public sealed unsafe class KernelTests
{
    [TestInitialize]
    public void Seed()
    {
        TorchNative.Ensure();
        manual_seed(7);
    }

    [TestMethod]
    public void The_exponential_function_is_exact_to_two_units_of_the_last_place()
    {
        for (double x = -87; x <= 88; x += 0.013)
        {
            double expected = Math.Exp((float)x);
            Assert.AreEqual(1, VectorExp.Exp(Vector512.Create((float)x))[3] / expected, 2.5e-7, $"exp({(float)x})");
        }

        Assert.AreEqual(1f, VectorExp.Exp(Vector512.Create(0f))[0]);
        Assert.IsTrue(float.IsNaN(VectorExp.Exp(Vector512.Create(float.NaN))[15]));
        Assert.IsLessThan(2e-38f, VectorExp.Exp(Vector512.Create(float.NegativeInfinity))[0]);
    }

    [TestMethod]
    public void Tensors_of_more_than_2_gigabytes_have_a_pointer()
    {
        using Tensor large = empty([3L << 30], uint8); // memory that is not touched costs nothing
        byte* first = large.Pointer<byte>();
        large[0] = 5;
        Assert.AreEqual((byte)5, *first);
    }

    [TestMethod]
    [DataRow(1, 1, 4, 1)]
    [DataRow(2, 16, 64, 4)]
    [DataRow(3, 5, 36, 3)]
    [DataRow(1, 49, 144, 2)] // head size 72
    [DataRow(2, 196, 192, 3)]
    [DataRow(1, 33, 66, 6)] // head size 11
    public void Attention_is_that_of_torch(int batch, int patches, int hidden, int heads)
    {
        using DisposeScope scope = NewDisposeScope();
        using var noGradients = no_grad();
        Tensor projected = randn(batch * patches, 3 * hidden) * 2;
        Tensor mask = rand(batch, 1, 1, patches) < 0.7;
        mask[.., .., .., 0] = true;
        foreach (Tensor? used in (Tensor?[])[null, mask])
        {
            Tensor expected = OfTorch(projected.to(float64), used);
            double ofTorch = ReferenceModels.LargestDifference(OfTorch(projected, used), expected);
            double ours = ReferenceModels.LargestDifference(FusedAttention.Attend(projected, batch, heads, used), expected);
            Assert.IsLessThan((2 * ofTorch) + 1e-6, ours, $"mask: {used is not null}");
        }

        Tensor OfTorch(Tensor values, Tensor? used)
        {
            Tensor parts = values.view(batch, patches, 3, heads, -1).permute(2, 0, 3, 1, 4);
            return nn.functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], used).transpose(1, 2).reshape(batch * patches, hidden);
        }
    }

    [TestMethod]
    public void Attention_to_a_patch_that_is_not_a_number_stays_in_its_image()
    {
        using DisposeScope scope = NewDisposeScope();
        using var noGradients = no_grad();
        Tensor projected = randn(3 * 20, 3 * 32);
        Tensor expected = FusedAttention.Attend(projected, 3, 2, null);
        projected[25] = float.NaN; // of the second image
        Tensor found = FusedAttention.Attend(projected, 3, 2, null);
        Assert.IsTrue(found[20..40].isnan().all().item<bool>());
        Assert.AreEqual(0, ReferenceModels.LargestDifference(found[..20], expected[..20]));
        Assert.AreEqual(0, ReferenceModels.LargestDifference(found[40..], expected[40..]));
    }

    [TestMethod]
    public void Packed_layers_compute_what_the_layers_do_and_give_their_weights_back()
    {
        foreach (ScalarType dtype in ((ScalarType[])[ScalarType.Float32, ScalarType.BFloat16]).Where(TorchOperators.ArePackable))
        {
            using DisposeScope scope = NewDisposeScope();
            using var noGradients = no_grad();
            Linear first = nn.Linear(30, 20), second = nn.Linear(30, 7);
            first.to(dtype);
            second.to(dtype);
            Tensor x = randn(2, 5, 30).to(dtype), residual = randn(2, 5, 27).to(dtype);
            Tensor plain = cat([first.call(x), second.call(x)], -1);
            Tensor[] weights = [first.weight!.clone(), second.weight!.clone()];
            Parameter[] parameters = [first.weight!, second.weight!];
            double tolerance = dtype == ScalarType.Float32 ? 2e-6 : 0.03;

            using var packed = new FloatLinear(first, second);

            Assert.IsLessThan(tolerance, ReferenceModels.LargestDifference(packed.Call(x), plain));
            Assert.IsLessThan(tolerance, ReferenceModels.LargestDifference(packed.CallAndAdd(x, residual), plain + residual));
            foreach (string activation in Activation.Names)
                Assert.IsLessThan(tolerance, ReferenceModels.LargestDifference(packed.Call(x, activation), Activation.Find(activation)(plain)), activation);
            for (int i = 0; i < 2; i++)
                Assert.AreEqual(0, ReferenceModels.LargestDifference(packed.Unpack(parameters[i])!, weights[i]));
            Assert.IsNull(packed.Unpack(first.bias!));
        }
    }

    [TestMethod]
    public void Layers_of_8_bits_compute_with_the_weights_that_they_give_back()
    {
        using DisposeScope scope = NewDisposeScope();
        using var noGradients = no_grad();
        Linear first = nn.Linear(48, 20), second = nn.Linear(48, 7);
        first.weight![3].zero_(); // no largest value to scale by
        Tensor[] weights = [first.weight!.clone(), second.weight!.clone()];
        Parameter[] parameters = [first.weight!, second.weight!];
        Tensor x = randint(0, 128, [9, 48], uint8);

        using var layers = new Int8Linear(first, second);
        Tensor[] unpacked = [.. parameters.Select(parameter => layers.Unpack(parameter)!)];

        Assert.IsNull(layers.Unpack(first.bias!));
        Assert.IsLessThan(1e-3, ReferenceModels.LargestDifference(layers.Call(x), x.to(float64).matmul(cat(unpacked).to(float64).t())));
        for (int i = 0; i < 2; i++)
            Assert.IsTrue((unpacked[i] - weights[i]).abs().le(weights[i].abs().amax([1], keepdim: true) / 127 * 0.51).all().item<bool>(), "more than half a level");

        // Weights that were unpacked are packed to the same: a saved model is not another one.
        Linear again = nn.Linear(48, 20);
        again.weight!.copy_(unpacked[0]);
        Parameter parameter = again.weight!;
        using var second8 = new Int8Linear(again);
        Assert.AreEqual(0, ReferenceModels.LargestDifference(second8.Unpack(parameter)!, unpacked[0]));
    }

    [TestMethod]
    [DataRow(16)]
    [DataRow(64)]
    [DataRow(77)]
    [DataRow(1)]
    public void A_row_is_quantized_to_half_a_level(int count)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor x = randn(count) * 3, bytes = zeros(count, uint8);
        foreach (int levels in (int[])[255, 127])
        {
            QuantizedRow row = Int8Rows.Quantize(x.Pointer<float>(), count, levels, bytes.Pointer<byte>());
            Assert.AreEqual(x.min().item<float>(), row.Smallest);
            Assert.AreEqual((x.max() - x.min()).item<float>() / levels, row.Scale, 1e-6f);
            Assert.IsLessThanOrEqualTo(row.Scale * 0.501, ReferenceModels.LargestDifference((bytes.to(float32) * row.Scale) + row.Smallest, x));
            Assert.AreEqual(count == 1 ? 0 : levels, (int)bytes.max().item<byte>());
        }

        x[count - 1] = float.NaN;
        Assert.IsTrue(float.IsNaN(Int8Rows.Quantize(x.Pointer<float>(), count, 255, bytes.Pointer<byte>()).Scale));
    }

    [TestMethod]
    [DataRow(16)]
    [DataRow(77)]
    [DataRow(3)]
    public void Rows_are_computed_as_torch_computes_them(int count)
    {
        using DisposeScope scope = NewDisposeScope();
        var row = new QuantizedRow(0.013f, -1.7f);
        Tensor product = randn(count) * 100, sums = randn(count), bias = randn(count), residual = randn(count), result = zeros(count);
        Tensor expected = (product.to(float64) * row.Scale) + (sums.to(float64) * row.Smallest) + bias;

        Tensor found = product.clone();
        Int8Rows.Dequantize(found.Pointer<float>(), count, row, sums.Pointer<float>(), bias.Pointer<float>());
        Assert.IsLessThan(2e-6, ReferenceModels.LargestDifference(found, expected));

        found = product.clone();
        Int8Rows.DequantizeAndGelu(found.Pointer<float>(), count, row, sums.Pointer<float>(), bias.Pointer<float>());
        Assert.IsLessThan(2e-6, ReferenceModels.LargestDifference(found, Activation.Find("gelu_pytorch_tanh")(expected)));

        found = residual.clone();
        Int8Rows.DequantizeAndAdd(product.Pointer<float>(), count, row, sums.Pointer<float>(), bias.Pointer<float>(), found.Pointer<float>());
        Assert.IsLessThan(2e-6, ReferenceModels.LargestDifference(found, residual + expected));

        Int8Rows.Normalize(product.Pointer<float>(), count, sums.Pointer<float>(), bias.Pointer<float>(), 1e-6f, result.Pointer<float>());
        Assert.IsLessThan(4e-6, ReferenceModels.LargestDifference(result, nn.functional.layer_norm(product.to(float64), [count], sums.to(float64), bias.to(float64), 1e-6)));
    }

    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    [DataRow(1001)]
    public void Work_on_the_threads_of_torch_is_done_once_and_fails_like_ordinary_work(int count)
    {
        int[] done = new int[count];
        TorchThreads.For(count, (begin, end) =>
        {
            for (int i = begin; i < end; i++)
                Interlocked.Increment(ref done[i]);
        });
        CollectionAssert.AreEqual(Enumerable.Repeat(1, count).ToArray(), done);

        var error = Assert.ThrowsExactly<InvalidOperationException>(() => TorchThreads.For(count, (_, _) => throw new InvalidOperationException("no")));
        Assert.AreEqual("no", error.Message);
    }
}
