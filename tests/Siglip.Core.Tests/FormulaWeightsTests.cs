using System.Globalization;
using System.Text.Json;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class FormulaWeightsTests
{
    [TestMethod]
    [DataRow("vision_model.embeddings.patch_embedding.weight", 0xc45bb8de4e548ac7, 0xcea9b55fe0ecdfa7, 0x3d1d536au, 0xbd6bb6b2u, 0x3d4f3b78u)]
    [DataRow("vision_model.encoder.layers.0.layer_norm1.weight", 0xc0b5d6e9f65198d2, 0x5957d8f41c0f9ddfUL, 0x3f7655f6u, 0x3f75fd7cu, 0x3f7e5e6fu)]
    public void The_first_values_are_those_that_the_reference_prints(string name, ulong hash, ulong random, uint one, uint two, uint three)
    {
        TorchNative.Ensure();
        using Tensor values = zeros(3);

        FormulaWeights.Fill(name, values);

        Assert.AreEqual(hash, FormulaWeights.Hash(name));
        Assert.AreEqual(random, FormulaWeights.Random(hash, 0));
        CollectionAssert.AreEqual((uint[])[one, two, three], Bits(values));
    }

    /// <summary>All parameters of siglip-base-patch16-224 but those of its inner layers.</summary>
    [TestMethod]
    public void Every_kind_of_parameter_has_the_values_of_the_reference()
    {
        TorchNative.Ensure();
        foreach (JsonProperty parameter in ReferenceModels.Json("full_size", "siglip-base-patch16-224", "parameters.json").EnumerateObject())
        {
            (string name, JsonElement expected) = (parameter.Name, parameter.Value);
            using Tensor values = empty([.. expected.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64())], float32);
            FormulaWeights.Fill(name, values);
            uint[] bits = Bits(values);
            ulong hash = Hex(expected.GetProperty("fnv1a64"));
            long sum = Enumerable.Range(0, bits.Length).Sum(i => (long)(FormulaWeights.Random(hash, i) >> 40));

            Assert.AreEqual(hash, FormulaWeights.Hash(name), name);
            CollectionAssert.AreEqual(
                HexArray(expected.GetProperty("splitmix64_first2")), (ulong[])[FormulaWeights.Random(hash, 0), FormulaWeights.Random(hash, 1)], name);
            CollectionAssert.AreEqual(HexArray(expected.GetProperty("float32_bits_first4")), bits[..4].Select(value => (ulong)value).ToArray(), name);
            Assert.AreEqual((uint)Hex(expected.GetProperty("float32_bits_last")), bits[^1], name);
            Assert.AreEqual(expected.GetProperty("sum_of_top24").GetInt64(), sum, name);
        }
    }

    [TestMethod]
    public void A_large_tensor_is_filled_as_its_values_one_by_one_would_be()
    {
        const string Name = "vision_model.head.probe";
        TorchNative.Ensure();
        using Tensor values = empty(200_003, float32); // more than one part, and a rest
        ulong hash = FormulaWeights.Hash(Name);

        FormulaWeights.Fill(Name, values);

        float[] filled = ReferenceModels.Values(values);
        for (int i = 0; i < filled.Length; i++)
            Assert.AreEqual(((long)(FormulaWeights.Random(hash, i) >> 40) - 8_388_608L) / 8_388_608.0, filled[i], $"value {i}");
    }

    private static ulong Hex(JsonElement text) => ulong.Parse(text.GetString()!, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private static ulong[] HexArray(JsonElement texts) => [.. texts.EnumerateArray().Select(Hex)];

    private static uint[] Bits(Tensor values) => [.. ReferenceModels.Values(values).Select(BitConverter.SingleToUInt32Bits)];
}
