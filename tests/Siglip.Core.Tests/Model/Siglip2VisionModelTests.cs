using System.Text.Json;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>The model with variable resolution against transformers' results; tolerances and their reasons are in Reference/tolerances.json.</summary>
[TestClass]
public sealed class Siglip2VisionModelTests
{
    private const string Folder = "naflex";

    private static readonly string[] Images = ["rgb.png", "chart.png", "wide_1600x9.png", "interlaced.png"];

    private static string FolderPath => ReferenceModels.PathOf(Folder);

    [TestMethod]
    public void Every_output_equals_that_of_transformers()
    {
        using SafetensorsFile single = SafetensorsFile.Open(ReferenceModels.PathOf(Folder, "expected.safetensors"));
        using SafetensorsFile @double = SafetensorsFile.Open(ReferenceModels.PathOf(Folder, "expected_fp64.safetensors"));
        using Siglip2VisionModel model = Siglip2VisionModel.FromPretrained(FolderPath);
        using DisposeScope scope = NewDisposeScope();
        using var noGradients = inference_mode();
        (Tensor pixelValues, Tensor mask, Tensor shapes) = (single.Read("pixel_values"), single.Read("pixel_attention_mask"), single.Read("spatial_shapes"));
        SiglipVisionOutput stepByStep = model.Forward(pixelValues, mask, shapes, new SiglipForwardOptions { OutputHiddenStates = true, OutputAttentions = true });
        SiglipVisionOutput fused = model.Forward(pixelValues, mask, shapes, new SiglipForwardOptions { OutputHiddenStates = true });
        Assert.IsNull(fused.Attentions);

        double onPatches = ReferenceModels.AreaTolerance(Folder, "last_hidden_state on valid patches");
        Check("last_hidden_state", Valid(model.call(pixelValues, mask, shapes), mask), Valid(@double.Read("last_hidden_state"), mask), onPatches);
        foreach (SiglipVisionOutput output in (SiglipVisionOutput[])[stepByStep, fused])
        {
            Check("last_hidden_state", Valid(output.LastHiddenState, mask), Valid(@double.Read("last_hidden_state"), mask), onPatches);
            Check("pooler_output", output.PoolerOutput!, @double.Read("pooler_output"), ReferenceModels.AreaTolerance(Folder, "pooler_output"));
            for (int i = 0; i <= model.Config.NumHiddenLayers; i++)
                Check("hidden_states", Valid(output.HiddenStates![i], mask), Valid(single.Read($"hidden_states.{i}"), mask), onPatches);
        }

        // Rows of padding patches have no meaning: compared are those of valid ones, to which padding must not contribute.
        Tensor attentions = stepByStep.Attentions![0].transpose(1, 2); // [batch, patches, heads, patches]
        Check("attentions", Valid(attentions, mask), Valid(single.Read("attentions.0").transpose(1, 2), mask), onPatches);
    }

    [TestMethod]
    public void Position_grids_are_resized_as_torch_does_with_antialiasing()
    {
        using SafetensorsFile file = SafetensorsFile.Open(ReferenceModels.PathOf(Folder, "position_grid_resize.safetensors"));
        using DisposeScope scope = NewDisposeScope();
        Tensor grid = file.Read("grid");
        int compared = 0;
        foreach (string name in file.Tensors.Keys.Where(name => name != "grid"))
        {
            int[] sides = [.. name.Split('_')[1].Split('x').Select(int.Parse)];
            Tensor expected = file.Read(name)[..(sides[0] * sides[1])];
            Tensor resized = PositionGrid.Resize(grid, sides[0], sides[1]).reshape(sides[0] * sides[1], -1);
            Check("resized", resized, expected, ReferenceModels.AreaTolerance(Folder, "position grid"), "position grids, 9 shapes");
            compared++;
        }

        Assert.AreEqual(9, compared);
    }

    [TestMethod]
    public void Images_get_the_patches_of_transformers()
    {
        JsonElement rows = ReferenceModels.Json(Folder, "target_sizes.json").GetProperty("rows");
        foreach (JsonElement row in rows.EnumerateArray())
        {
            int[] values = [.. row.EnumerateArray().Select(value => value.GetInt32())]; // height, width, patch, most patches, target height, target width
            var processor = new Siglip2ImageProcessor(new Siglip2ImageProcessorConfig { PatchSize = values[2], MaxNumPatches = values[3] });
            SiglipPatchGrid grid = processor.GetPatchGrid(values[0], values[1]);
            Assert.AreEqual((values[4], values[5]), (grid.Rows * values[2], grid.Columns * values[2]), row.ToString());
        }

        Assert.AreEqual(200, rows.GetArrayLength());
    }

    [TestMethod]
    public void Pixel_values_have_the_bits_of_transformers()
    {
        Dictionary<string, ReferenceTensor> expected = ReferenceData.Tensors(Folder, "expected.safetensors");
        var processor = new Siglip2ImageProcessor(
            Siglip2ImageProcessorConfig.FromJson(File.ReadAllText(ReferenceModels.PathOf(Folder, "preprocessor_config.json"))));
        long[] shapes = [.. Enumerable.Range(0, 8).Select(i => BitConverter.ToInt64(expected["spatial_shapes"].Bytes, i * 8))];
        float[] found = new float[Images.Length * processor.PixelValueCount];
        found.AsSpan().Fill(float.NaN);
        for (int i = 0; i < Images.Length; i++)
        {
            RgbImage image = RgbImage.Load(ReferenceModels.PathOf("preprocess", "images", Images[i]));
            SiglipPatchGrid grid = processor.Preprocess(image, found.AsSpan(i * processor.PixelValueCount, processor.PixelValueCount));
            Assert.AreEqual(new SiglipPatchGrid((int)shapes[2 * i], (int)shapes[(2 * i) + 1]), grid, Images[i]);
        }

        float[] values = expected["pixel_values"].Singles;
        Assert.HasCount(values.Length, found);
        ParityReport.OfThisRun.Check(ParityArea.VariableResolution, "image files", "pixel values",
            ReferenceImages.LargestDifference(found, values), tolerance: 0);
    }

    [TestMethod]
    public void Image_files_give_the_embeddings_of_transformers()
    {
        using SafetensorsFile file = SafetensorsFile.Open(ReferenceModels.PathOf(Folder, "expected_fp64.safetensors"));
        using SafetensorsFile inputs = SafetensorsFile.Open(ReferenceModels.PathOf(Folder, "expected.safetensors"));
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(FolderPath);
        using DisposeScope scope = NewDisposeScope();
        const SiglipEmbeddingOutputs All =
            SiglipEmbeddingOutputs.PatchEmbeddings | SiglipEmbeddingOutputs.PooledEmbedding | SiglipEmbeddingOutputs.MeanPatchEmbedding;
        SiglipImageEmbeddings embeddings = embedder.EmbedBatch(
            [.. Images.Select(image => RgbImage.Load(ReferenceModels.PathOf("preprocess", "images", image)))], All);

        Tensor last = file.Read("last_hidden_state"), mask = inputs.Read("pixel_attention_mask").to(@bool);
        double onPatches = ReferenceModels.AreaTolerance(Folder, "last_hidden_state on valid patches");
        Check("pooler_output", tensor(embeddings.PooledEmbeddings!, [4, 32]), file.Read("pooler_output"), ReferenceModels.AreaTolerance(Folder, "pooler_output"),
            "image files");
        for (int i = 0; i < Images.Length; i++)
        {
            Tensor expected = last[i][mask[i]]; // [patches, hidden]
            Check("last_hidden_state", tensor(embeddings.Get(SiglipEmbeddingOutputs.PatchEmbeddings, i).ToArray(), expected.shape), expected, onPatches, "image files");
            Check("last_hidden_state_mean", tensor(embeddings.Get(SiglipEmbeddingOutputs.MeanPatchEmbedding, i).ToArray()), expected.mean([0]), onPatches, "image files");
            Assert.AreEqual(expected.shape[0], embeddings.PatchGrids[i].Count);
        }

        // The padding of an image is 0.
        int length = embedder.GetLength(SiglipEmbeddingOutputs.PatchEmbeddings), padded = embeddings.PatchGrids[0].Count * 32;
        Assert.IsLessThan(length, padded);
        Assert.AreEqual(-1, embeddings.PatchEmbeddings.AsSpan(padded..length).IndexOfAnyExcept(0f));
    }

    [TestMethod]
    public async Task A_batch_gives_the_same_embeddings_as_single_images_without_padding()
    {
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(
            FolderPath, new SiglipImageEmbedderOptions { Output = SiglipEmbeddingOutputs.PatchEmbeddings, MaxNumPatches = 30 });
        string[] paths = [.. Images.Select(image => ReferenceModels.PathOf("preprocess", "images", image))];
        await foreach (SiglipImageEmbedding embedding in embedder.EmbedAsync(paths.ToAsyncEnumerable(), CancellationToken.None))
        {
            float[] single = embedder.Embed(paths[embedding.Index]);
            Assert.HasCount(embedding.PatchGrid.Count * 32, single);
            Assert.IsLessThanOrEqualTo(30, embedding.PatchGrid.Count);
            using Tensor expected = tensor(single), found = tensor(embedding.Values);
            Assert.IsLessThanOrEqualTo(1e-5, ReferenceModels.LargestDifference(found, expected), Images[embedding.Index]);
        }
    }

    [TestMethod]
    public void The_same_image_gives_the_same_bits_wherever_its_pixel_values_lie_in_memory()
    {
        // Of the matrix products here, one of 9 rows of 192 values adds up in another order where rows begin at odd multiples of 8 bytes.
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(FolderPath, new SiglipImageEmbedderOptions { MaxNumPatches = 9 });
        RgbImage image = RgbImage.Load(ReferenceModels.PathOf("preprocess", "images", "chart.png"));
        float[] expected = embedder.Embed(image);
        for (int i = 0; i < 40; i++)
            CollectionAssert.AreEqual(expected, embedder.Embed(image), $"pass {i}");
    }

    [TestMethod]
    public void More_patches_are_an_option()
    {
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(FolderPath, new SiglipImageEmbedderOptions { MaxNumPatches = 100 });
        SiglipImageEmbeddings embeddings = embedder.EmbedBatch(
            [RgbImage.Load(ReferenceModels.PathOf("preprocess", "images", "chart.png"))], SiglipEmbeddingOutputs.PatchEmbeddings);
        Assert.AreEqual(new SiglipPatchGrid(9, 11), embeddings.PatchGrids[0]); // as in target_sizes.json for this shape and number
        Assert.AreEqual(100, embedder.PatchCount);
    }

    [TestMethod]
    public void A_forward_pass_leaves_no_tensors_behind()
    {
        using Siglip2VisionModel model = Siglip2VisionModel.FromPretrained(FolderPath);
        using Tensor pixelValues = rand(2, 6, 192), mask = ones(2, 6), shapes = tensor(new long[] { 2, 3, 1, 6 }, [2, 2]);
        Assert.AreEqual(0, TensorCount.LeftBy(() =>
        {
            using var noGradients = inference_mode();
            model.call(pixelValues, mask, shapes).Dispose();
            model.Forward(pixelValues, mask, shapes, new SiglipForwardOptions { OutputAttentions = true, OutputHiddenStates = true }).Dispose();
        }));
        Assert.AreEqual(0, TensorCount.LeftBy(() => Siglip2VisionModel.FromPretrained(FolderPath).Dispose()));
        Assert.AreEqual(0, TensorCount.LeftBy(() =>
        {
            using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(FolderPath);
            embedder.Embed(RgbImage.Load(ReferenceModels.PathOf("preprocess", "images", "chart.png")));
        }));
    }

    [TestMethod]
    public void Gradients_reach_the_position_embeddings()
    {
        using var model = new Siglip2VisionModel(new Siglip2VisionConfig
        {
            HiddenSize = 8,
            IntermediateSize = 8,
            NumHiddenLayers = 1,
            NumAttentionHeads = 2,
            PatchSize = 2,
            NumPatches = 9,
        });
        using Tensor pixelValues = rand(1, 6, 12), mask = ones(1, 6), shapes = tensor(new long[] { 2, 3 }, [1, 2]);
        using Tensor loss = model.call(pixelValues, mask, shapes).square().sum();
        loss.backward();
        using Tensor gradient = model.get_parameter("vision_model.embeddings.position_embedding.weight")!.grad!;
        Assert.AreEqual(9, gradient.abs().sum(1).count_nonzero().item<long>());
    }

    [TestMethod]
    public void A_saved_model_loads_with_the_same_bits()
    {
        using var folder = new TemporaryFolder();
        using Siglip2VisionModel model = Siglip2VisionModel.FromPretrained(FolderPath);
        model.SavePretrained(folder.Path);
        using Siglip2VisionModel loaded = Siglip2VisionModel.FromPretrained(folder.Path);
        Assert.AreEqual(model.Config, loaded.Config);
        Assert.AreEqual(model.ProcessorConfig, loaded.ProcessorConfig);
        using Tensor pixelValues = rand(1, 6, 192), mask = ones(1, 6), shapes = tensor(new long[] { 2, 3 }, [1, 2]);
        using Tensor before = model.call(pixelValues, mask, shapes), after = loaded.call(pixelValues, mask, shapes);
        Assert.IsTrue(before.equal(after).all().item<bool>());
    }

    [TestMethod]
    public void Wrong_inputs_are_named()
    {
        using Siglip2VisionModel model = Siglip2VisionModel.FromPretrained(FolderPath);
        using Tensor images = zeros(2, 3, 32, 32), patches = zeros(2, 6, 192), mask = ones(2, 6), shapes = tensor(new long[] { 2, 3, 1, 6 }, [2, 2]);
        using Tensor shortMask = ones(2, 5), oneShape = tensor(new long[] { 2, 3 }, [1, 2]), tooMany = tensor(new long[] { 2, 3, 4, 4 }, [2, 2]);
        using Tensor none = tensor(new long[] { 2, 3, 0, 4 }, [2, 2]), huge = tensor(new long[] { 2, 3, long.MaxValue, long.MaxValue }, [2, 2]);
        Assert.Contains("pixelValues has shape [2, 3, 32, 32], expected [batch, patches, 192]", Message(() => model.call(images, mask, shapes)));
        Assert.Contains("pixelAttentionMask has shape [2, 5], expected [2, 6]", Message(() => model.call(patches, shortMask, shapes)));
        Assert.Contains("spatialShapes has shape [1, 2], expected [2, 2]", Message(() => model.call(patches, mask, oneShape)));
        Assert.Contains("4 x 4 patches for image 1, expected at least 1 x 1 and at most 6", Message(() => model.call(patches, mask, tooMany)));
        Assert.Contains("0 x 4 patches for image 1", Message(() => model.call(patches, mask, none)));
        Assert.Contains("patches for image 1", Message(() => model.call(patches, mask, huge)));

        static string Message(Func<Tensor> call) => Assert.ThrowsExactly<ArgumentException>(call).Message;
    }

    [TestMethod]
    public void Each_kind_of_model_refuses_the_others_checkpoints_and_options()
    {
        string fixedSize = ReferenceModels.Folder("vision_only");
        Assert.Contains("variable resolution (NaFlex); load it as a Siglip2VisionModel",
            Assert.ThrowsExactly<InvalidOperationException>(() => SiglipVisionModel.FromPretrained(FolderPath)).Message);
        Assert.Contains("variable resolution (NaFlex); load it as a Siglip2VisionModel",
            Assert.ThrowsExactly<InvalidOperationException>(() => SiglipForImageClassification.FromPretrained(FolderPath)).Message);
        Assert.Contains("fixed resolution; load it as a SiglipVisionModel",
            Assert.ThrowsExactly<InvalidOperationException>(() => Siglip2VisionModel.FromPretrained(fixedSize)).Message);
        string naFlexConfig = File.ReadAllText(Path.Combine(FolderPath, "config.json")), fixedConfig = File.ReadAllText(Path.Combine(fixedSize, "config.json"));
        Assert.Contains("read it with Siglip2VisionConfig", Assert.ThrowsExactly<InvalidDataException>(() => SiglipVisionConfig.FromJson(naFlexConfig)).Message);
        Assert.Contains("read it with SiglipVisionConfig", Assert.ThrowsExactly<InvalidDataException>(() => Siglip2VisionConfig.FromJson(fixedConfig)).Message);

        Assert.Contains("MaxNumPatches is 5, but the model has fixed", Message(fixedSize, new SiglipImageEmbedderOptions { MaxNumPatches = 5 }));
        Assert.Contains("ImageWidth is 64, but the model has variable", Message(FolderPath, new SiglipImageEmbedderOptions { ImageWidth = 64 }));
        Assert.Contains("InterpolatePositionEncoding is set", Message(FolderPath, new SiglipImageEmbedderOptions { InterpolatePositionEncoding = true }));
        Assert.Contains("max_num_patches is 0", Message(FolderPath, new SiglipImageEmbedderOptions { MaxNumPatches = 0 }));

        static string Message(string model, SiglipImageEmbedderOptions options) =>
            Assert.ThrowsExactly<ArgumentException>(() => SiglipImageEmbedder.FromPretrained(model, options)).Message;
    }

    [TestMethod]
    public void A_line_of_pixels_becomes_a_row_of_as_many_patches_as_allowed()
    {
        var processor = new Siglip2ImageProcessor(new Siglip2ImageProcessorConfig { MaxNumPatches = 4096, DoRescale = false, DoNormalize = false });
        var pixelValues = new float[processor.PixelValueCount];

        SiglipPatchGrid grid = processor.Preprocess(new RgbImage(5000, 1, [.. Enumerable.Repeat((byte)7, 15_000)]), pixelValues); // 65,536 x 16 pixels

        Assert.AreEqual(new SiglipPatchGrid(1, 4096), grid);
        Assert.AreEqual(-1, pixelValues.AsSpan().IndexOfAnyExcept(7f));
    }

    [TestMethod]
    public void Without_resizing_the_image_has_to_be_a_grid_of_patches()
    {
        var processor = new Siglip2ImageProcessor(new Siglip2ImageProcessorConfig { PatchSize = 8, MaxNumPatches = 6, DoResize = false });
        Assert.AreEqual(new SiglipPatchGrid(2, 3), processor.GetPatchGrid(16, 24));
        Assert.Contains("multiples of 8", Assert.ThrowsExactly<ArgumentException>(() => processor.GetPatchGrid(16, 25)).Message);
        Assert.Contains("at most 6 patches", Assert.ThrowsExactly<ArgumentException>(() => processor.GetPatchGrid(24, 24)).Message);
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => processor.GetPatchGrid(0, 24));
    }

    private static void Check(string output, Tensor actual, Tensor expected, double tolerance, string @case = Folder) =>
        ParityReport.OfThisRun.Check(ParityArea.VariableResolution, @case, output, ReferenceModels.LargestDifference(actual, expected), tolerance);

    // [batch, patches, …] -> [patches of all images, …]
    private static Tensor Valid(Tensor values, Tensor mask) => values[mask.to(@bool)];
}
