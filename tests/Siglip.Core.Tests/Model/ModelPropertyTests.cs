using CsCheck;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>What holds for models of any sizes. A failure shows the seed with which it is run again.</summary>
[TestClass]
public sealed class ModelPropertyTests
{
    private const int Cases = 30;
    private const double Rounding = 1e-5; // other batches add up in other orders

    private static readonly Gen<SiglipVisionConfig> FixedConfigs =
        Gen.Select(Gen.Int[1, 4], Gen.Int[1, 6], Gen.Int[1, 40], Gen.Int[0, 3], Gen.Int[1, 7], Gen.Int[1, 5], Gen.Bool, Gen.OneOf([.. Activation.Names]),
            (heads, headSize, intermediate, layers, patch, grid, head, activation) => new SiglipVisionConfig
            {
                NumAttentionHeads = heads,
                HiddenSize = heads * headSize * 2,
                IntermediateSize = intermediate,
                NumHiddenLayers = layers,
                PatchSize = patch,
                ImageSize = (patch * grid) + (patch / 2),
                VisionUseHead = head,
                HiddenAct = activation,
            });

    private static readonly Gen<Siglip2VisionConfig> NaFlexConfigs = Gen.Select(FixedConfigs, Gen.Int[1, 5], (config, side) => new Siglip2VisionConfig
    {
        NumAttentionHeads = config.NumAttentionHeads,
        HiddenSize = config.HiddenSize,
        IntermediateSize = config.IntermediateSize,
        NumHiddenLayers = config.NumHiddenLayers,
        PatchSize = config.PatchSize,
        NumPatches = side * side,
        VisionUseHead = config.VisionUseHead,
        HiddenAct = config.HiddenAct,
    });

    private static readonly Gen<(int Batch, long Seed)> Inputs = Gen.Select(Gen.Int[1, 5], Gen.Long[0, long.MaxValue]);

    // Rows and columns of each image's patches, and how much longer than the longest the batch is.
    private static readonly Gen<((int Rows, int Columns)[] Grids, int Padding, long Seed)> NaFlexInputs =
        Gen.Select(Gen.Select(Gen.Int[1, 5], Gen.Int[1, 5]).Array[1, 5], Gen.Int[0, 3], Gen.Long[0, long.MaxValue]);

    [TestMethod]
    public void A_batch_equals_its_images_one_by_one() => ForAll(FixedConfigs, Inputs, (config, input) =>
    {
        using DisposeScope scope = Begin(input.Seed);
        using var model = new SiglipVisionModel(config);
        Tensor images = randn(input.Batch, 3, config.ImageSize, config.ImageSize);
        SiglipVisionOutput batch = Forward(model, images);
        for (int i = 0; i < input.Batch; i++)
            AssertNear(Forward(model, images[i..(i + 1)]), batch, i, config.NumPatches);
    });

    [TestMethod]
    public void Permuted_images_give_permuted_outputs() => ForAll(FixedConfigs, Inputs, (config, input) =>
    {
        using DisposeScope scope = Begin(input.Seed);
        using var model = new SiglipVisionModel(config);
        Tensor images = randn(input.Batch, 3, config.ImageSize, config.ImageSize), order = randperm(input.Batch);
        AssertPermuted(Forward(model, images), Forward(model, images[order]), order);
    });

    [TestMethod]
    public void Saved_models_load_with_equal_bits() => ForAll(FixedConfigs, Inputs, (config, input) =>
    {
        using DisposeScope scope = Begin(input.Seed);
        using var folder = new TemporaryFolder();
        using var model = new SiglipVisionModel(config);
        model.SavePretrained(folder.Path);
        using SiglipVisionModel loaded = SiglipVisionModel.FromPretrained(folder.Path);
        Assert.AreEqual(config, loaded.Config);
        AssertSameParameters(model, loaded);
        Tensor images = randn(input.Batch, 3, config.ImageSize, config.ImageSize);
        Assert.IsTrue(Forward(model, images).LastHiddenState.equal(Forward(loaded, images).LastHiddenState).all().item<bool>());
    });

    [TestMethod]
    public void A_NaFlex_batch_equals_its_images_one_by_one_without_padding() => ForAll(NaFlexConfigs, NaFlexInputs, (config, input) =>
    {
        using DisposeScope scope = Begin(input.Seed);
        using var model = new Siglip2VisionModel(config);
        NaFlexBatch images = Draw(config, input.Grids, input.Padding);
        SiglipVisionOutput batch = Forward(model, images);
        for (int i = 0; i < input.Grids.Length; i++)
        {
            int patches = input.Grids[i].Rows * input.Grids[i].Columns;
            var alone = new NaFlexBatch(images.PixelValues[i..(i + 1), ..patches], images.Mask[i..(i + 1), ..patches], images.Shapes[i..(i + 1)]);
            AssertNear(Forward(model, alone), batch, i, patches);
        }
    });

    [TestMethod]
    public void Permuted_NaFlex_images_give_permuted_outputs() => ForAll(NaFlexConfigs, NaFlexInputs, (config, input) =>
    {
        using DisposeScope scope = Begin(input.Seed);
        using var model = new Siglip2VisionModel(config);
        NaFlexBatch images = Draw(config, input.Grids, input.Padding);
        Tensor order = randperm(input.Grids.Length);
        AssertPermuted(Forward(model, images), Forward(model, new NaFlexBatch(images.PixelValues[order], images.Mask[order], images.Shapes[order])), order);
    });

    [TestMethod]
    public void Saved_NaFlex_models_load_with_equal_bits() => ForAll(NaFlexConfigs, NaFlexInputs, (config, input) =>
    {
        using DisposeScope scope = Begin(input.Seed);
        using var folder = new TemporaryFolder();
        using var model = new Siglip2VisionModel(config);
        model.SavePretrained(folder.Path);
        using Siglip2VisionModel loaded = Siglip2VisionModel.FromPretrained(folder.Path);
        Assert.AreEqual(config, loaded.Config);
        AssertSameParameters(model, loaded);
        NaFlexBatch images = Draw(config, input.Grids, input.Padding);
        Assert.IsTrue(Forward(model, images).LastHiddenState.equal(Forward(loaded, images).LastHiddenState).all().item<bool>());
    });

    // One case a call: CsCheck fixes only the first case of a run. One thread: torch has one generator.
    private static void ForAll<TConfig, TInput>(Gen<TConfig> configs, Gen<TInput> inputs, Action<TConfig, TInput> promise)
    {
        for (uint stream = 0; stream < Cases; stream++)
            configs.Select(inputs).Sample(promise, seed: new PCG(stream, 2026).ToString(), iter: 1, threads: 1);
    }

    private static DisposeScope Begin(long seed)
    {
        TorchNative.Ensure();
        manual_seed(seed);
        return NewDisposeScope();
    }

    private static SiglipVisionOutput Forward(SiglipVisionModel model, Tensor images)
    {
        using var noGradients = no_grad();
        return model.Forward(images, new SiglipForwardOptions());
    }

    private static SiglipVisionOutput Forward(Siglip2VisionModel model, NaFlexBatch images)
    {
        using var noGradients = no_grad();
        return model.Forward(images.PixelValues, images.Mask, images.Shapes, new SiglipForwardOptions());
    }

    private static NaFlexBatch Draw(Siglip2VisionConfig config, (int Rows, int Columns)[] grids, int padding)
    {
        int most = grids.Max(grid => grid.Rows * grid.Columns) + padding;
        Tensor mask = zeros(grids.Length, most, int64);
        for (int i = 0; i < grids.Length; i++)
            mask[i, ..(grids[i].Rows * grids[i].Columns)] = 1;
        Tensor shapes = tensor([.. grids.SelectMany(grid => (long[])[grid.Rows, grid.Columns])], [grids.Length, 2]);
        return new NaFlexBatch(randn(grids.Length, most, config.ValuesPerPatch), mask, shapes);
    }

    private static void AssertNear(SiglipVisionOutput alone, SiglipVisionOutput batch, int index, int patches)
    {
        Assert.IsLessThanOrEqualTo(Rounding, ReferenceModels.LargestDifference(batch.LastHiddenState[index, ..patches], alone.LastHiddenState[0]));
        if (alone.PoolerOutput is { } pooled)
            Assert.IsLessThanOrEqualTo(Rounding, ReferenceModels.LargestDifference(batch.PoolerOutput![index], pooled[0]));
    }

    private static void AssertPermuted(SiglipVisionOutput first, SiglipVisionOutput permuted, Tensor order)
    {
        Assert.IsLessThanOrEqualTo(Rounding, ReferenceModels.LargestDifference(permuted.LastHiddenState, first.LastHiddenState[order]));
        if (first.PoolerOutput is { } pooled)
            Assert.IsLessThanOrEqualTo(Rounding, ReferenceModels.LargestDifference(permuted.PoolerOutput!, pooled[order]));
    }

    private static void AssertSameParameters(nn.Module expected, nn.Module actual)
    {
        Dictionary<string, Tensor> found = actual.state_dict();
        Assert.HasCount(expected.state_dict().Count, found);
        foreach ((string name, Tensor parameter) in expected.state_dict())
            Assert.IsTrue(parameter.equal(found[name]).all().item<bool>(), name);
    }

    private sealed record NaFlexBatch(Tensor PixelValues, Tensor Mask, Tensor Shapes);
}
