using System.Globalization;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class SiglipConfigTests
{
    [TestMethod]
    public void A_config_with_an_invalid_patch_size_can_be_printed()
    {
        Assert.Contains("NumPatches = 0", new SiglipVisionConfig { PatchSize = 0 }.ToString());
    }

    [TestMethod]
    public void An_unknown_activation_is_refused_with_the_known_ones()
    {
        InvalidDataException error = Assert.ThrowsExactly<InvalidDataException>(
            () => SiglipVisionConfig.FromJson("""{ "model_type": "siglip_vision_model", "hidden_act": "mish" }"""));

        Assert.AreEqual(
            "config.json: hidden_act is 'mish', expected one of gelu_pytorch_tanh, gelu, gelu_new, quick_gelu, relu, silu.", error.Message);
    }

    [TestMethod]
    public void More_patch_embeddings_than_can_be_counted_are_refused()
    {
        var config = new SiglipVisionConfig { ImageSize = 16_384, PatchSize = 16, HiddenSize = 4096, NumAttentionHeads = 16 };

        Assert.StartsWith(
            "image_size 16384, patch_size 16 and hidden_size 4096 give 4,294,967,296 values", Assert.ThrowsExactly<ArgumentException>(config.Validate).Message);
    }

    [TestMethod]
    public void A_model_larger_than_the_memory_is_refused_before_it_is_built()
    {
        var config = new SiglipVisionConfig { HiddenSize = 65_536, IntermediateSize = 65_536, NumAttentionHeads = 64, NumHiddenLayers = 1000 };

        foreach (Func<IDisposable> build in (Func<IDisposable>[])[() => new SiglipVisionModel(config), () => new SiglipForImageClassification(config, ["a"])])
        {
            ArgumentException error = Assert.ThrowsExactly<ArgumentException>(() => build().Dispose());
            Assert.StartsWith("A model of these sizes needs 103,1", error.Message);
            Assert.Contains("Lower hidden_size (65536), intermediate_size (65536) or num_hidden_layers (1000).", error.Message);
        }
    }

    [TestMethod]
    public void Preprocessing_is_equal_if_all_its_values_are()
    {
        var one = new SiglipImageProcessorConfig { RescaleFactor = double.NaN, ImageMean = [0.1f, float.NaN, 0.3f] };

        Assert.AreEqual(one, one with { ImageMean = [0.1f, float.NaN, 0.3f] });
        Assert.AreEqual(one.GetHashCode(), (one with { ImageMean = [0.1f, float.NaN, 0.3f] }).GetHashCode());
        foreach (SiglipImageProcessorConfig other in (SiglipImageProcessorConfig[])
        [
            one with { DoResize = false }, one with { Height = 1 }, one with { Width = 1 }, one with { Resample = ImageResampling.Bilinear },
            one with { DoRescale = false }, one with { RescaleFactor = 1 }, one with { DoNormalize = false }, one with { ImageMean = [0.1f, 0.2f, 0.3f] },
            one with { ImageStd = [1, 1, 1] },
        ])
            Assert.AreNotEqual(one, other);
    }

    [TestMethod]
    public void Preprocessing_does_not_change_with_the_arrays_it_was_made_from()
    {
        float[] mean = [0.1f, 0.2f, 0.3f], std = [1, 2, 3];
        var config = new SiglipImageProcessorConfig { ImageMean = mean, ImageStd = std };

        mean[0] = std[0] = 9;

        Assert.AreEqual(0.1f, config.ImageMean[0]);
        Assert.AreEqual(1, config.ImageStd[0]);
    }

    [TestMethod]
    public void Numbers_in_messages_do_not_follow_the_culture()
    {
        CultureInfo before = CultureInfo.CurrentCulture;
        var culture = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        (culture.NumberFormat.NumberDecimalSeparator, culture.NumberFormat.NumberGroupSeparator) = (",", ".");
        CultureInfo.CurrentCulture = culture;
        try
        {
            Assert.Contains("layer_norm_eps is 1.5,", Assert.ThrowsExactly<ArgumentException>(new SiglipVisionConfig { LayerNormEps = 1.5 }.Validate).Message);
            Assert.Contains("attention_dropout is 1.5,", Assert.ThrowsExactly<ArgumentException>(new SiglipVisionConfig { AttentionDropout = 1.5 }.Validate).Message);
            Assert.Contains("expected 12,000.", Assert.ThrowsExactly<ArgumentException>(() => new RgbImage(40, 100, [])).Message);
            Assert.Contains("room for 1,799 values", Assert.ThrowsExactly<ArgumentException>(
                () => new SiglipImageProcessor(new() { Height = 20, Width = 30 }).Preprocess(new RgbImage(1, 1, new byte[3]), new float[1799])).Message);
            Assert.Contains("at most 178,956,970.", Assert.ThrowsExactly<ArgumentOutOfRangeException>(
                () => ImageResizer.Resize(new RgbImage(1, 1, new byte[3]), 65_535, 65_535, ImageResampling.Bicubic)).Message);
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }
}
