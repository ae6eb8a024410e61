using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class MimeticInitializationTests
{
    private static readonly SiglipVisionConfig Config = new()
    {
        HiddenSize = 64,
        IntermediateSize = 64,
        NumHiddenLayers = 2,
        NumAttentionHeads = 4,
        ImageSize = 12,
        PatchSize = 4,
    };

    // Eckart and Young: no matrix of that rank is nearer than the tail of the singular values.
    [TestMethod]
    public void The_product_of_each_heads_queries_and_keys_is_the_best_approximation_of_its_rank()
    {
        using DisposeScope scope = NewDisposeScope();
        SiglipForImageClassification model = NewModel(Config, seed: 7);

        manual_seed(7);
        for (int layer = 0; layer < 2; layer++)
        {
            for (int head = 0; head < 4; head++)
            {
                Tensor aim = ((randn(64, 64) / 8) + eye(64)).to(float64) * 0.7;
                Tensor queries = Weight(model, layer, "q_proj").narrow(0, head * 16, 16), keys = Weight(model, layer, "k_proj").narrow(0, head * 16, 16);
                double tail = linalg.svdvals(aim).narrow(0, 16, 48).square().sum().item<double>();
                Assert.AreEqual(tail, (aim - queries.t().matmul(keys)).square().sum().item<double>(), 1e-4, $"layer {layer}, head {head}");
                Assert.AreEqual(queries.square().sum().item<double>(), keys.square().sum().item<double>(), 1e-4, "both have the same share of it");
            }

            randn(64, 64); // of the values
        }
    }

    [TestMethod]
    public void With_one_head_queries_and_keys_have_the_whole_diagonal()
    {
        using DisposeScope scope = NewDisposeScope();
        SiglipForImageClassification model = NewModel(Config with { NumAttentionHeads = 1 }, seed: 1);

        CheckIdentityPlusNoise(Weight(model, 1, "q_proj").t().matmul(Weight(model, 1, "k_proj")), identity: 0.7, noise: 0.7);
    }

    [TestMethod]
    public void Values_and_output_take_away_a_part_of_what_they_get()
    {
        using DisposeScope scope = NewDisposeScope();
        SiglipForImageClassification model = NewModel(Config, seed: 1);

        CheckIdentityPlusNoise(Weight(model, 0, "out_proj").matmul(Weight(model, 0, "v_proj")), identity: -0.4, noise: 0.4);
    }

    [TestMethod]
    [DataRow(64)]
    [DataRow(18)] // not divisible by 4: the last cosines are cut off
    [DataRow(6)]
    public void Position_embeddings_are_sines_and_cosines_of_row_and_column(int hidden)
    {
        using DisposeScope scope = NewDisposeScope();
        SiglipForImageClassification model = NewModel(Config with { HiddenSize = hidden, NumAttentionHeads = 2 }, seed: 1);
        Tensor positions = model.state_dict()["vision_model.embeddings.position_embedding.weight"];
        int quarter = (int)Math.Ceiling(hidden / 4.0);

        for (int patch = 0; patch < 9; patch++)
        {
            for (int i = 0; i < hidden; i++)
            {
                double angle = (i < 2 * quarter ? patch / 3 : patch % 3) / Math.Pow(10_000, (double)(i % quarter) / quarter);
                Assert.AreEqual(i / quarter % 2 == 0 ? Math.Sin(angle) : Math.Cos(angle), positions[patch, i].item<float>(), 1e-6, $"patch {patch}, dimension {i}");
            }
        }
    }

    [TestMethod]
    public void Everything_else_stays_as_it_was_and_no_tensor_is_left_behind()
    {
        using DisposeScope scope = NewDisposeScope();
        TorchNative.Ensure();
        var model = new SiglipForImageClassification(Config, ["a", "b"]);
        Dictionary<string, Tensor> before = model.state_dict().ToDictionary(pair => pair.Key, pair => pair.Value.clone());

        Assert.AreEqual(0, TensorCount.LeftBy(model.InitializeMimetic));

        string[] changed = [.. before.Where(pair => ReferenceModels.LargestDifference(model.state_dict()[pair.Key], pair.Value) > 0).Select(pair => pair.Key)];
        string[] expected = [.. Enumerable.Range(0, 2).SelectMany(layer => ((string[])["q_proj", "k_proj", "v_proj", "out_proj"])
            .Select(name => Name(layer, name))), "vision_model.embeddings.position_embedding.weight"];
        CollectionAssert.AreEquivalent(expected, changed);
        Assert.IsTrue(model.parameters().All(parameter => parameter.requires_grad && parameter.is_leaf));
    }

    // The mean of n² numbers of deviation noise / √n is off by less than five times its own deviation, noise / √n / √n on the diagonal.
    private static void CheckIdentityPlusNoise(Tensor product, double identity, double noise)
    {
        const int Side = 64;
        Assert.AreEqual(identity, product.diagonal().mean().item<double>(), 5 * noise / Side);
        Tensor rest = product - (eye(Side, dtype: ScalarType.Float64) * identity);
        Assert.AreEqual(0, rest.mean().item<double>(), 5 * noise / Math.Sqrt(Side) / Side);
        Assert.AreEqual(noise / Math.Sqrt(Side), rest.std().item<double>(), 0.1 * noise / Math.Sqrt(Side));
    }

    private static SiglipForImageClassification NewModel(SiglipVisionConfig config, int seed)
    {
        TorchNative.Ensure();
        var model = new SiglipForImageClassification(config, ["a", "b"]);
        manual_seed(seed);
        model.InitializeMimetic();
        return model;
    }

    private static Tensor Weight(SiglipForImageClassification model, int layer, string name) => model.state_dict()[Name(layer, name)].detach().to(float64);

    private static string Name(int layer, string name) => $"vision_model.encoder.layers.{layer}.self_attn.{name}.weight";
}
