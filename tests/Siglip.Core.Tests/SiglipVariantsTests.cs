using System.Globalization;
using System.Text.RegularExpressions;

namespace Siglip.Core.Tests;

[TestClass]
public sealed partial class SiglipVariantsTests
{
    [TestMethod]
    public void Every_variant_is_valid_and_its_preprocessing_fits()
    {
        Assert.HasCount(27, SiglipVariants.All);
        Assert.AreEqual(27, SiglipVariants.All.Select(variant => variant.HubId).Distinct().Count());
        foreach (SiglipVariant variant in SiglipVariants.All)
        {
            variant.Config.Validate();
            variant.ProcessorConfig.Validate();
            VisionTower.CheckFit(variant.Config, variant.ProcessorConfig, new SiglipImageEmbedderOptions());
            Assert.AreSame(variant, SiglipVariants.Find(variant.HubId));
        }
    }

    [TestMethod]
    public void Every_variant_has_the_sizes_that_its_name_states()
    {
        foreach (SiglipVariant variant in SiglipVariants.All)
        {
            Match name = Name().Match(variant.HubId);
            Assert.IsTrue(name.Success, variant.HubId);
            (int hidden, int intermediate, int layers, int heads) = name.Groups["size"].Value switch // big_vision, vit.py; transformers, convert_siglip_to_hf.py
            {
                "base" => (768, 3072, 12, 12),
                "large" => (1024, 4096, 24, 16),
                "so400m" => (1152, 4304, 27, 16),
                _ => (1536, 6144, 40, 16),
            };
            Assert.AreEqual((hidden, intermediate, layers, heads),
                (variant.Config.HiddenSize, variant.Config.IntermediateSize, variant.Config.NumHiddenLayers, variant.Config.NumAttentionHeads), variant.HubId);
            Assert.AreEqual(name.Groups["patch"].Value, $"{variant.Config.PatchSize}", variant.HubId);

            if (name.Groups["image"].Value == "naflex")
            {
                Assert.AreEqual(256, ((Siglip2VisionConfig)variant.Config).NumPatches);
                Assert.AreEqual(256, ((Siglip2ImageProcessorConfig)variant.ProcessorConfig).MaxNumPatches);
                Assert.AreEqual(16, ((Siglip2ImageProcessorConfig)variant.ProcessorConfig).PatchSize);
            }
            else
            {
                int image = int.Parse(name.Groups["image"].Value, CultureInfo.InvariantCulture);
                var processor = (SiglipImageProcessorConfig)variant.ProcessorConfig;
                Assert.AreEqual((image, image, image), (((SiglipVisionConfig)variant.Config).ImageSize, processor.Height, processor.Width), variant.HubId);
            }

            Assert.AreEqual(name.Groups["generation"].Value == "2" ? ImageResampling.Bilinear : ImageResampling.Bicubic, variant.ProcessorConfig.Resample, variant.HubId);
            Assert.IsTrue(variant.ProcessorConfig.ImageMean.Concat(variant.ProcessorConfig.ImageStd).All(value => value == 0.5f), variant.HubId);
        }
    }

    // The exact ones: Reference, full_size/*/parameters.json. The others, in millions: open_clip, docs/model_profile.csv, image_mparams.
    [TestMethod]
    [DataRow("google/siglip-base-patch16-224", 92_884_224, 92.88)]
    [DataRow("google/siglip-base-patch16-256", null, 92.93)]
    [DataRow("google/siglip-base-patch16-256-multilingual", null, 92.93)]
    [DataRow("google/siglip-base-patch16-384", null, 93.18)]
    [DataRow("google/siglip-base-patch16-512", null, 93.52)]
    [DataRow("google/siglip-large-patch16-256", null, 315.96)]
    [DataRow("google/siglip-large-patch16-384", null, 316.28)]
    [DataRow("google/siglip-so400m-patch14-224", null, 427.68)]
    [DataRow("google/siglip-so400m-patch14-384", 428_225_600, 428.23)]
    public void The_number_of_parameters_is_the_published_one(string hubId, int? exact, double millions)
    {
        long count = SiglipVariants.Find(hubId).ParameterCount;
        Assert.AreEqual(millions, count / 1e6, 0.005);
        if (exact is not null)
            Assert.AreEqual(exact.Value, count);
    }

    [TestMethod]
    public void Every_variant_survives_its_JSON()
    {
        foreach (SiglipVariant variant in SiglipVariants.All)
        {
            SiglipVisionConfigBase config = SiglipVisionConfigBase.FromJson(variant.Config.ToJson());
            Assert.AreEqual(variant.Config, config);
            Assert.AreEqual(variant.ProcessorConfig, SiglipImageProcessorConfigBase.FromJson(variant.ProcessorConfig.ToJson(), "preprocessor_config.json", config));
        }
    }

    [TestMethod]
    [DataRow("google/siglip-base-patch16-225", "google/siglip-base-patch16-224")]
    [DataRow("siglip2-so400m-patch16-naflex", "google/siglip2-so400m-patch16-naflex")]
    [DataRow("google/siglip2-giant-patch16-384", "google/siglip2-giant-opt-patch16-384")]
    public void An_unknown_id_is_refused_with_the_nearest_ones(string hubId, string nearest)
    {
        ArgumentException error = Assert.ThrowsExactly<ArgumentException>(() => SiglipVariants.Find(hubId));
        Assert.StartsWith($"'{hubId}' is no known checkpoint; the nearest names are {nearest}, google/siglip", error.Message);
    }

    [TestMethod]
    public void Checkpoints_of_the_same_architecture_are_found_by_it()
    {
        CollectionAssert.AreEqual(
            (string[])["google/siglip-base-patch16-224", "google/siglip2-base-patch16-224"], SiglipVariants.WithArchitecture(new SiglipVisionConfig()).ToArray());
        CollectionAssert.AreEqual((string[])["google/siglip2-base-patch16-naflex"], SiglipVariants.WithArchitecture(new Siglip2VisionConfig()).ToArray());
        Assert.IsEmpty(SiglipVariants.WithArchitecture(new SiglipVisionConfig { VisionUseHead = false }));
    }

    [GeneratedRegex(@"^google/siglip(?<generation>2?)-(?<size>base|large|so400m|giant-opt)-patch(?<patch>\d+)-(?<image>\d+|naflex)(-multilingual|-i18n)?$")]
    private static partial Regex Name();
}
