using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>Images of another size than the model's, through the embedder.</summary>
[TestClass]
public sealed class ImageSizeTests
{
    private const SiglipEmbeddingOutputs All =
        SiglipEmbeddingOutputs.PatchEmbeddings | SiglipEmbeddingOutputs.PooledEmbedding | SiglipEmbeddingOutputs.MeanPatchEmbedding;

    private static string Folder => ReferenceModels.Folder("vision_only"); // 32 x 32 pixels, patches of 8 x 8

    private static SiglipImageEmbedderOptions Size(int height, int width) =>
        new() { InterpolatePositionEncoding = true, ImageHeight = height, ImageWidth = width };

    [TestMethod]
    [DataRow(48, 48)]
    [DataRow(40, 64)]
    [DataRow(29, 75)]
    public void What_embeds_images_of_other_sizes_gives_the_numbers_of_transformers(int height, int width)
    {
        using var expected = new ExpectedOutputs("vision_only");
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(Folder);
        using VisionTower tower = VisionTower.Load(checkpoint, Size(height, width)).Single();
        using DisposeScope scope = NewDisposeScope();
        using var noGradients = inference_mode();
        string name = $"interp_{height}x{width}.";
        var grid = new SiglipPatchGrid(height / 8, width / 8);
        Tensor pixelValues = expected.PixelValues(name).reshape(1, tower.PixelValueCount), reference = expected.Read(name + "last_hidden_state");
        (Tensor patches, Tensor? pooled, Tensor? mean) = tower.Forward(pixelValues, [grid], All);
        (Tensor alone, Tensor? notAsked, _) = tower.Forward(pixelValues, [grid], SiglipEmbeddingOutputs.PatchEmbeddings);

        Assert.AreEqual(grid, tower.PlaceholderGrid);
        Assert.AreEqual(grid.Count, tower.PatchCount);
        Assert.IsNull(notAsked);
        Check("last_hidden_state", patches, reference);
        Check("last_hidden_state", alone, reference);
        Check("last_hidden_state", mean!, reference.mean([1]));
        Check("pooler_output", pooled!, expected.Read(name + "pooler_output"));

        static void Check(string output, Tensor actual, Tensor reference) =>
            Assert.IsLessThanOrEqualTo(ReferenceModels.Tolerance("vision_only", output), ReferenceModels.LargestDifference(actual, reference), output);
    }

    [TestMethod]
    [DataRow(48, 48)]
    [DataRow(40, 64)]
    [DataRow(29, 75)]
    [DataRow(8, 8)]
    [DataRow(32, 32)]
    public void An_embedder_gives_what_the_model_gives_for_the_resized_image(int height, int width)
    {
        RgbImage[] images = [.. ((string[])["rgb.png", "wide_1600x9.png"]).Select(file => RgbImage.Load(ReferenceImages.PathOf(file)))];
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(Folder, Size(height, width));
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(Folder);
        var processorConfig = (SiglipImageProcessorConfig)embedder.ProcessorConfig;
        var processor = new SiglipImageProcessor(processorConfig);
        using DisposeScope scope = NewDisposeScope();
        Tensor pixelValues = stack(images.Select(image => tensor(processor.Preprocess(image), [3, height, width])));
        SiglipVisionOutput expected = model.Forward(pixelValues, new SiglipForwardOptions { InterpolatePositionEncoding = true });
        SiglipImageEmbeddings found = embedder.EmbedBatch(images, All);
        using var ofModel = new SiglipImageEmbedder(SiglipVisionModel.FromPretrained(Folder), processorConfig, Size(height, width));
        SiglipImageEmbeddings same = ofModel.EmbedBatch(images, All);

        int patches = height / 8 * (width / 8);
        Assert.AreEqual((height, width), (processorConfig.Height, processorConfig.Width));
        Assert.AreEqual(patches, embedder.PatchCount);
        Assert.AreEqual(new SiglipPatchGrid(height / 8, width / 8), found.PatchGrids[1]);
        CollectionAssert.AreEqual(ReferenceModels.Values(expected.LastHiddenState), same.PatchEmbeddings);
        Assert.IsLessThan(1e-5, ReferenceModels.LargestDifference(tensor(same.PatchEmbeddings!), tensor(found.PatchEmbeddings!)));
        Assert.IsLessThan(1e-5, ReferenceModels.LargestDifference(tensor(ReferenceModels.Values(expected.PoolerOutput!)), tensor(found.PooledEmbeddings!)));
        Assert.HasCount(patches * 64, found.Get(SiglipEmbeddingOutputs.PatchEmbeddings, 1).ToArray());
    }

    [TestMethod]
    public void One_side_alone_may_be_another_and_the_checkpoint_s_may_too()
    {
        using SiglipImageEmbedder wide = SiglipImageEmbedder.FromPretrained(Folder, new() { InterpolatePositionEncoding = true, ImageWidth = 64 });
        Assert.AreEqual(4 * 8, wide.PatchCount);

        using TemporaryFolder folder = TemporaryFolder.CopyOf("vision_only");
        folder.Replace("preprocessor_config.json", "\"height\": 32", "\"height\": 48");
        Assert.Contains("images of 48 x 32 pixels, the model expects 32 x 32. Use the preprocessor_config.json",
            Assert.ThrowsExactly<ArgumentException>(() => SiglipImageEmbedder.FromPretrained(folder.Path)).Message);
        using SiglipImageEmbedder tall = SiglipImageEmbedder.FromPretrained(folder.Path, new() { InterpolatePositionEncoding = true });
        Assert.AreEqual(6 * 4, tall.PatchCount);
    }

    [TestMethod]
    [DataRow(48, 32, false, "ImageHeight and ImageWidth ask for images of 48 x 32 pixels (height x width), the model expects 32 x 32. Leave them out, or set InterpolatePositionEncoding")]
    [DataRow(7, 32, true, "ImageHeight and ImageWidth ask for images of 7 x 32 pixels (height x width), smaller than the model's patches of 8 x 8; make them larger")]
    [DataRow(32, 1, true, "ImageHeight and ImageWidth ask for images of 32 x 1 pixels (height x width), smaller than the model's patches")]
    [DataRow(0, 32, true, "ImageHeight and ImageWidth: size is 0 x 32, expected sides from 1 to 16384")]
    [DataRow(-48, 48, true, "size is -48 x 48, expected sides from 1 to 16384")]
    [DataRow(32, 16385, true, "size is 32 x 16385, expected sides from 1 to 16384")]
    [DataRow(int.MaxValue, int.MaxValue, true, "expected sides from 1 to 16384")]
    [DataRow(16384, 16384, true, "size is 16384 x 16384, expected at most 178956970 pixels in all")]
    public void A_size_that_is_not_possible_is_refused(int height, int width, bool interpolate, string message)
    {
        SiglipImageEmbedderOptions options = Size(height, width) with { InterpolatePositionEncoding = interpolate };
        Assert.Contains(message, Assert.ThrowsExactly<ArgumentException>(() => SiglipImageEmbedder.FromPretrained(Folder, options)).Message);
    }

    [TestMethod]
    public void More_patch_embeddings_than_one_array_holds_are_refused()
    {
        var config = new SiglipVisionConfig { HiddenSize = 1152, PatchSize = 8, ImageSize = 64 };
        Assert.Contains("One image would have 2,097,152 patches, whose embeddings of 1152 values each do not fit into one array (at most 2,147,483,591); lower ImageHeight",
            Assert.ThrowsExactly<ArgumentException>(() => VisionTower.CheckFit(config, new SiglipImageProcessorConfig(), Size(16384, 8192))).Message);
        var naFlex = new Siglip2VisionConfig { HiddenSize = 65536, NumAttentionHeads = 1, PatchSize = 8 };
        Assert.Contains("One image would have 65,536 patches, whose embeddings of 65536 values each do not fit into one array (at most 2,147,483,591); lower MaxNumPatches",
            Assert.ThrowsExactly<ArgumentException>(() => VisionTower.CheckFit(
                naFlex, new Siglip2ImageProcessorConfig { PatchSize = 8 }, new SiglipImageEmbedderOptions { MaxNumPatches = 65536 })).Message);
    }
}
