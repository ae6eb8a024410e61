using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class NaNTests
{
    private static readonly SiglipForwardOptions[] Ways = [new(), new() { OutputAttentions = true }]; // the fused kernel, and step by step

    [TestMethod]
    public void NaN_in_pixel_values_gives_NaN_for_that_image_and_leaves_the_others_alone()
    {
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));
        using DisposeScope scope = NewDisposeScope();
        using var noGradients = inference_mode();
        manual_seed(5);
        Tensor good = rand(3, 3, 32, 32), bad = good.clone();
        bad[1, 2, 17, 5] = float.NaN;
        foreach (SiglipForwardOptions options in Ways)
            AssertOnlySecondIsNaN(model.Forward(good, options), model.Forward(bad, options), patches: 16);
    }

    [TestMethod]
    public void NaN_in_the_pixel_values_of_a_model_with_variable_resolution_stays_in_its_image_too()
    {
        using Siglip2VisionModel model = Siglip2VisionModel.FromPretrained(ReferenceModels.PathOf("naflex"));
        using DisposeScope scope = NewDisposeScope();
        using var noGradients = inference_mode();
        manual_seed(5);
        Tensor good = rand(3, 6, 192), bad = good.clone(), mask = ones(3, 6), shapes = tensor(new long[] { 2, 2, 2, 2, 2, 3 }, [3, 2]);
        mask[..2, 4..] = 0;
        bad[1, 3, 100] = float.NaN;
        foreach (SiglipForwardOptions options in Ways)
            AssertOnlySecondIsNaN(model.Forward(good, mask, shapes, options), model.Forward(bad, mask, shapes, options), patches: 4);
    }

    private static void AssertOnlySecondIsNaN(SiglipVisionOutput good, SiglipVisionOutput bad, int patches)
    {
        foreach ((Tensor expected, Tensor actual) in ((Tensor, Tensor)[])[(good.LastHiddenState[.., ..patches], bad.LastHiddenState[.., ..patches]), (good.PoolerOutput!, bad.PoolerOutput!)])
        {
            Assert.IsTrue(expected.isfinite().all().item<bool>());
            Assert.IsTrue(actual[1].isnan().all().item<bool>());
            Assert.IsTrue(actual[0].equal(expected[0]).all().item<bool>());
            Assert.IsTrue(actual[2].equal(expected[2]).all().item<bool>());
        }
    }
}
