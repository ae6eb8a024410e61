using System.Text.Json;
using Microsoft.ML.OnnxRuntime;
using Siglip.Core.Onnx;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>Exported models in ONNX Runtime against the model itself.</summary>
[TestClass]
public sealed class OnnxExportTests
{
    // Two float32 computations that add up in another order: 5e-6 found. Another activation, epsilon or scale changes more than 1e-3.
    private const double Tolerance = 2e-5;

    [TestMethod]
    [DataRow("vision_only")]
    [DataRow("no_prefix")]
    [DataRow("small_activations")]
    [DataRow("odd_config")]
    [DataRow("sharded")]
    [DataRow("so400m_like")]
    [DataRow("no_head")]
    [DataRow("odd_size")]
    [DataRow("fp16")]
    [DataRow("bf16")]
    [DataRow("full_model")]
    [DataRow("image_classification")]
    public void ONNX_Runtime_computes_what_the_model_does(string name)
    {
        using var folder = new TemporaryFolder();
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder(name));
        model.ExportOnnx(folder.File("model.onnx"));
        using var onnx = new OnnxSession(folder.File("model.onnx"));

        string[] outputs = model.Config.VisionUseHead ? ["last_hidden_state", "pooler_output"] : ["last_hidden_state"];
        CollectionAssert.AreEqual(outputs, onnx.Session.OutputNames.ToArray());
        CollectionAssert.AreEqual((string[])["batch", "", "", ""], onnx.Session.InputMetadata["pixel_values"].SymbolicDimensions);
        Check(model, onnx, batch: 1);
        Check(model, onnx, batch: 3);
    }

    [TestMethod]
    [DataRow("gelu_pytorch_tanh")]
    [DataRow("gelu")]
    [DataRow("gelu_new")]
    [DataRow("quick_gelu")]
    [DataRow("relu")]
    [DataRow("silu")]
    public void Every_activation_is_exported(string activation)
    {
        using var folder = new TemporaryFolder();
        using SiglipVisionModel model = NewModel(activation);
        model.ExportOnnx(folder.File("model.onnx"));
        using var onnx = new OnnxSession(folder.File("model.onnx"));
        Check(model, onnx, batch: 2);
    }

    [TestMethod]
    [DataRow(48, 48)]
    [DataRow(40, 64)]
    [DataRow(29, 75)]
    public void Another_image_size_gives_interpolated_positions(int height, int width)
    {
        using var folder = new TemporaryFolder();
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));
        model.ExportOnnx(folder.File("model.onnx"), new SiglipOnnxOptions { ImageHeight = height, ImageWidth = width });
        using var onnx = new OnnxSession(folder.File("model.onnx"));
        Check(model, onnx, batch: 2, height, width);

        SiglipImageProcessorConfig processor = Processor(onnx);
        Assert.AreEqual((height, width), (processor.Height, processor.Width));
    }

    [TestMethod]
    public void A_classifier_gives_its_logits_and_the_names_of_its_classes()
    {
        using var folder = new TemporaryFolder();
        using DisposeScope scope = NewDisposeScope();
        using var noGradients = inference_mode();
        using SiglipForImageClassification model = SiglipForImageClassification.FromPretrained(ReferenceModels.Folder("image_classification"));
        model.ExportOnnx(folder.File("model.onnx"));
        using var onnx = new OnnxSession(folder.File("model.onnx"));

        CollectionAssert.AreEqual((string[])["logits"], onnx.Session.OutputNames.ToArray());
        foreach (int batch in (int[])[1, 3])
        {
            Tensor pixelValues = PixelValues(batch, model.Config);
            AssertClose(onnx.Run(("pixel_values", pixelValues))["logits"], model.call(pixelValues));
        }

        Dictionary<string, string> labels = JsonSerializer.Deserialize<Dictionary<string, string>>(onnx.Session.ModelMetadata.CustomMetadataMap["id2label"])!;
        CollectionAssert.AreEqual(model.Labels.ToArray(), Enumerable.Range(0, labels.Count).Select(i => labels[$"{i}"]).ToArray());
    }

    [TestMethod]
    public void Images_of_any_shape_give_what_a_model_with_variable_resolution_does()
    {
        using var folder = new TemporaryFolder();
        using DisposeScope scope = NewDisposeScope();
        using var noGradients = inference_mode();
        using SafetensorsFile file = SafetensorsFile.Open(ReferenceModels.PathOf("naflex", "expected.safetensors"));
        using Siglip2VisionModel model = Siglip2VisionModel.FromPretrained(ReferenceModels.PathOf("naflex"));
        model.ExportOnnx(folder.File("model.onnx"));
        using var onnx = new OnnxSession(folder.File("model.onnx"));

        (Tensor pixelValues, Tensor mask, Tensor shapes) = (file.Read("pixel_values"), file.Read("pixel_attention_mask"), file.Read("spatial_shapes"));
        Check(pixelValues, mask, shapes);
        for (int image = 0; image < shapes.shape[0]; image++) // one image without padding
        {
            int patches = (int)mask[image].sum().item<long>();
            Check(pixelValues.narrow(0, image, 1).narrow(1, 0, patches), mask.narrow(0, image, 1).narrow(1, 0, patches), shapes.narrow(0, image, 1));
        }

        // Grids smaller and larger than that of the model, of 4 x 4 positions.
        foreach ((long rows, long columns) in ((long, long)[])[(1, 1), (1, 22), (22, 1), (2, 3), (3, 7), (9, 11)])
            Check(randn(1, (rows * columns) + 2, 192, generator: new Generator(7)), cat([ones(1, rows * columns, int64), zeros(1, 2, int64)], 1), tensor(new[] { rows, columns }).reshape(1, 2));

        void Check(Tensor pixelValues, Tensor mask, Tensor shapes)
        {
            IReadOnlyDictionary<string, Tensor> actual = onnx.Run(("pixel_values", pixelValues), ("pixel_attention_mask", mask), ("spatial_shapes", shapes));
            SiglipVisionOutput expected = model.Forward(pixelValues, mask, shapes, new SiglipForwardOptions());
            AssertClose(actual["last_hidden_state"][mask.to(@bool)], expected.LastHiddenState[mask.to(@bool)]);
            AssertClose(actual["pooler_output"], expected.PoolerOutput!);
        }
    }

    [TestMethod]
    public void Weights_in_a_second_file_give_the_same_bits()
    {
        using var folder = new TemporaryFolder();
        using DisposeScope scope = NewDisposeScope();
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));
        model.ExportOnnx(folder.File("one.onnx"));
        model.ExportOnnx(folder.File("two.onnx"), new SiglipOnnxOptions { ExternalData = true });
        CollectionAssert.AreEquivalent((string[])["one.onnx", "two.onnx", "two.onnx_data"], Directory.GetFileSystemEntries(folder.Path).Select(Path.GetFileName).ToArray());

        using var one = new OnnxSession(folder.File("one.onnx"));
        using var two = new OnnxSession(folder.File("two.onnx"));
        Tensor pixelValues = PixelValues(2, model.Config);
        foreach ((string name, Tensor value) in one.Run(("pixel_values", pixelValues)))
            CollectionAssert.AreEqual(ReferenceModels.Values(value), ReferenceModels.Values(two.Run(("pixel_values", pixelValues))[name]));

        TensorProto[] external = [.. Read(folder.File("two.onnx")).Graph.Initializer.Where(tensor => tensor.DataLocation == TensorProto.Types.DataLocation.External)];
        Assert.IsGreaterThan(20, external.Length);
        Assert.IsTrue(external.All(tensor => !tensor.HasRawData && Field(tensor, "location") == "two.onnx_data" && long.Parse(Field(tensor, "offset"), null) % 4096 == 0));

        static string Field(TensorProto tensor, string key) => tensor.ExternalData.Single(pair => pair.Key == key).Value;
    }

    [TestMethod]
    public void Weights_of_more_than_2_GB_are_in_a_second_file()
    {
        using var folder = new TemporaryFolder();
        var graph = new OnnxGraph();
        const long Values = 600_000_000; // a hole in the file, which takes no space on the disk
        graph.Add(new OnnxInitializer("large", TensorProto.Types.DataType.Float, [Values], stream => stream.SetLength(stream.Seek(Values * sizeof(float), SeekOrigin.Current))));
        OnnxFile.Write(folder.File("model.onnx"), new ModelProto(), graph, externalData: false, CancellationToken.None);

        Assert.IsLessThan(1000, new FileInfo(folder.File("model.onnx")).Length);
        Assert.AreEqual(Values * sizeof(float), new FileInfo(folder.File("model.onnx_data")).Length);
        Assert.AreEqual("2400000000", Read(folder.File("model.onnx")).Graph.Initializer.Single().ExternalData.Single(pair => pair.Key == "length").Value);
    }

    [TestMethod]
    [DataRow("vision_only")]
    [DataRow("so400m_like")]
    [DataRow("full_model")]
    [DataRow("odd_config")]
    public void Weights_of_8_bits_give_nearly_the_same_embeddings(string name)
    {
        using var folder = new TemporaryFolder();
        using DisposeScope scope = NewDisposeScope();
        using var noGradients = inference_mode();
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder(name));
        model.ExportOnnx(folder.File("model.onnx"), new SiglipOnnxOptions { Precision = SiglipPrecision.Int8 });
        using var onnx = new OnnxSession(folder.File("model.onnx"));
        foreach (int batch in (int[])[1, 3])
        {
            Tensor pixelValues = PixelValues(batch, model.Config);
            IReadOnlyDictionary<string, Tensor> actual = onnx.Run(("pixel_values", pixelValues));
            SiglipVisionOutput expected = model.Forward(pixelValues, new SiglipForwardOptions());
            Assert.IsGreaterThanOrEqualTo(0.99f, Cosine(actual["pooler_output"], expected.PoolerOutput!));
            Assert.IsGreaterThanOrEqualTo(0.99f, Cosine(actual["last_hidden_state"].flatten(0, 1), expected.LastHiddenState.flatten(0, 1)));
        }

        static float Cosine(Tensor left, Tensor right) => nn.functional.cosine_similarity(left, right).min().item<float>();
    }

    [TestMethod]
    public void Weights_of_8_bits_have_a_scale_for_each_output()
    {
        const string Name = "vision_model.encoder.layers.0.mlp.fc1";
        using var folder = new TemporaryFolder();
        using DisposeScope scope = NewDisposeScope();
        using var noGradients = no_grad();
        using SiglipVisionModel model = NewModel("gelu");
        Tensor weight = model.state_dict()[Name + ".weight"]; // [64, 32]
        weight[3] = zeros(32);
        weight[4] = linspace(-2, 1, 32);
        model.ExportOnnx(folder.File("model.onnx"), new SiglipOnnxOptions { Precision = SiglipPrecision.Int8 });

        GraphProto graph = Read(folder.File("model.onnx")).Graph;
        TensorProto quantized = graph.Initializer.Single(tensor => tensor.Name == Name + ".weight_quantized"), scale = graph.Initializer.Single(tensor => tensor.Name == Name + ".weight_scale");
        CollectionAssert.AreEqual((long[])[32, 64], quantized.Dims.ToArray());
        Tensor integers = tensor([.. quantized.RawData.Select(value => (float)(sbyte)value)]).reshape(32, 64).t(); // [64, 32]
        Tensor scales = tensor(System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(scale.RawData.Span).ToArray()).unsqueeze(1);
        Assert.IsLessThanOrEqualTo(0.501, ((integers * scales) - weight).abs().div(scales).max().item<float>()); // half a step
        Assert.AreEqual(-127, integers[4, 0].item<float>());
        Assert.AreEqual(2f / 127, scales[4].item<float>(), 1e-8f);
        Assert.AreEqual(0, integers[3].abs().max().item<float>());
        Assert.AreEqual(6 + 5, graph.Node.Count(node => node.OpType == "MatMulInteger")); // a layer; the head, but not its constant query
    }

    [TestMethod]
    public void The_file_says_what_made_it_and_which_pixel_values_it_takes()
    {
        using var folder = new TemporaryFolder();
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("sharded"));
        model.ExportOnnx(folder.File("model.onnx"));
        using var onnx = new OnnxSession(folder.File("model.onnx"));

        Assert.AreEqual("Siglip.MLNet", onnx.Session.ModelMetadata.ProducerName);
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(ReferenceModels.Folder("sharded"));
        Assert.AreEqual(checkpoint.ProcessorConfig, Processor(onnx));
        ModelProto file = Read(folder.File("model.onnx"));
        Assert.AreEqual(
            "pixel_values: an RGB image resized to 48 x 48 pixels (height x width; bilinear, antialiased, as by Pillow), channel by channel; each level from 0 to 255 times "
            + "0.00392156863, minus [0.5, 0.5, 0.5], divided by [0.5, 0.5, 0.5] (red, green, blue). The metadata have the same as preprocessor_config.json.", file.DocString);
        Assert.AreEqual(20, file.OpsetImport.Single().Version);
        Assert.AreEqual("0.1.0", file.ProducerVersion);
    }

    [TestMethod]
    public void A_model_of_16_bits_is_exported_in_float32()
    {
        using var folder = new TemporaryFolder();
        using DisposeScope scope = NewDisposeScope();
        using var noGradients = inference_mode();
        using SiglipVisionModel half = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("fp16"), new SiglipLoadOptions { Precision = SiglipPrecision.Float16 });
        using SiglipVisionModel full = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("fp16"));
        half.ExportOnnx(folder.File("model.onnx"));
        using var onnx = new OnnxSession(folder.File("model.onnx"));
        Check(full, onnx, batch: 1);
    }

    [TestMethod]
    public void Exporting_leaves_no_tensors()
    {
        using var folder = new TemporaryFolder();
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));
        using Siglip2VisionModel naFlex = Siglip2VisionModel.FromPretrained(ReferenceModels.PathOf("naflex"));
        foreach (SiglipPrecision precision in (SiglipPrecision[])[SiglipPrecision.Float32, SiglipPrecision.Int8])
        {
            Assert.AreEqual(0, TensorCount.LeftBy(() => model.ExportOnnx(
                folder.File("model.onnx"), new SiglipOnnxOptions { Precision = precision, ImageHeight = 40, ImageWidth = 64 })));
            Assert.AreEqual(0, TensorCount.LeftBy(() => naFlex.ExportOnnx(folder.File("naflex.onnx"), new SiglipOnnxOptions { Precision = precision })));
        }
    }

    [TestMethod]
    public void An_existing_file_is_replaced_and_nothing_else_is_left()
    {
        using var folder = new TemporaryFolder();
        using SiglipVisionModel model = NewModel("gelu");
        File.WriteAllText(folder.File("model.onnx"), "old");
        model.ExportOnnx(folder.File("model.onnx"));
        using var onnx = new OnnxSession(folder.File("model.onnx"));
        Assert.HasCount(1, Directory.GetFileSystemEntries(folder.Path));
    }

    [TestMethod]
    public void A_cancelled_export_leaves_nothing()
    {
        using var folder = new TemporaryFolder();
        using SiglipVisionModel model = NewModel("gelu");
        foreach (bool external in (bool[])[false, true])
        {
            Assert.ThrowsExactly<OperationCanceledException>(() => model.ExportOnnx(
                folder.File("model.onnx"), new SiglipOnnxOptions { ExternalData = external }, new CancellationToken(canceled: true)));
            Assert.IsEmpty(Directory.GetFileSystemEntries(folder.Path));
        }
    }

    [TestMethod]
    public void A_path_that_cannot_be_written_is_named()
    {
        using var folder = new TemporaryFolder();
        using SiglipVisionModel model = NewModel("gelu");
        foreach (bool external in (bool[])[false, true])
        {
            IOException missing = Assert.ThrowsExactly<IOException>(
                () => model.ExportOnnx(folder.File("none/model.onnx"), new SiglipOnnxOptions { ExternalData = external }));
            Assert.Contains($"the folder '{folder.File("none")}' does not exist", missing.Message);
        }

        Directory.CreateDirectory(folder.File("taken"));
        IOException taken = Assert.ThrowsExactly<IOException>(() => model.ExportOnnx(folder.File("taken")));
        Assert.StartsWith($"'{folder.File("taken")}' cannot be written", taken.Message);
        Assert.HasCount(1, Directory.GetFileSystemEntries(folder.Path));
        Assert.ThrowsExactly<ArgumentException>(() => model.ExportOnnx(""));
    }

    [TestMethod]
    public void Options_that_do_not_fit_are_refused_before_anything_is_written()
    {
        using var folder = new TemporaryFolder();
        using SiglipVisionModel model = NewModel("gelu");
        using Siglip2VisionModel naFlex = Siglip2VisionModel.FromPretrained(ReferenceModels.PathOf("naflex"));
        string path = folder.File("model.onnx");

        ArgumentException small = Assert.ThrowsExactly<ArgumentException>(() => model.ExportOnnx(path, new SiglipOnnxOptions { ImageHeight = 7, ImageWidth = 40 }));
        Assert.AreEqual("ImageHeight and ImageWidth ask for images of 7 x 40 pixels (height x width), smaller than the model's patches of 8 x 8; make them larger.", small.Message);
        ArgumentException zero = Assert.ThrowsExactly<ArgumentException>(() => model.ExportOnnx(path, new SiglipOnnxOptions { ImageWidth = 0 }));
        Assert.AreEqual("ImageHeight and ImageWidth: size is 32 x 0, expected sides from 1 to 16384.", zero.Message);
        ArgumentException shape = Assert.ThrowsExactly<ArgumentException>(() => naFlex.ExportOnnx(path, new SiglipOnnxOptions { ImageWidth = 64 }));
        Assert.AreEqual("ImageHeight and ImageWidth ask for one size of all images, but the model has variable resolution (NaFlex) and takes images of any shape; leave that out.", shape.Message);
        ArgumentException precision = Assert.ThrowsExactly<ArgumentException>(() => model.ExportOnnx(path, new SiglipOnnxOptions { Precision = SiglipPrecision.BFloat16 }));
        Assert.AreEqual("Precision is BFloat16, expected Float32 or Int8.", precision.Message);
        Assert.IsEmpty(Directory.GetFileSystemEntries(folder.Path));
    }

    [TestMethod]
    public void A_model_that_an_embedder_has_packed_is_refused()
    {
        if (!TorchOperators.AreAvailable)
            Assert.Inconclusive("There is no Int8 on this processor.");
        using var folder = new TemporaryFolder();
        SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));
        var processor = new SiglipImageProcessorConfig { Height = 32, Width = 32 };
        using var embedder = new SiglipImageEmbedder(model, processor, new SiglipImageEmbedderOptions { Precision = SiglipPrecision.Int8 });
        InvalidOperationException packed = Assert.ThrowsExactly<InvalidOperationException>(() => model.ExportOnnx(folder.File("model.onnx")));
        Assert.AreEqual("The model's weights are packed, because an embedder computes with it in Int8; load it once more to export it.", packed.Message);
        Assert.IsEmpty(Directory.GetFileSystemEntries(folder.Path));
    }

    private static SiglipVisionModel NewModel(string activation)
    {
        manual_seed(3);
        var model = new SiglipVisionModel(new SiglipVisionConfig
        {
            HiddenSize = 32,
            IntermediateSize = 64,
            NumHiddenLayers = 1,
            NumAttentionHeads = 4,
            ImageSize = 32,
            PatchSize = 8,
            HiddenAct = activation,
        });
        model.eval();
        return model;
    }

    private static Tensor PixelValues(int batch, SiglipVisionConfig config, int? height = null, int? width = null) =>
        (rand(batch, config.NumChannels, height ?? config.ImageSize, width ?? config.ImageSize, generator: new Generator((ulong)batch)) * 2) - 1;

    private static void Check(SiglipVisionModel model, OnnxSession onnx, int batch, int? height = null, int? width = null)
    {
        using DisposeScope scope = NewDisposeScope();
        using var noGradients = inference_mode();
        Tensor pixelValues = PixelValues(batch, model.Config, height, width);
        IReadOnlyDictionary<string, Tensor> actual = onnx.Run(("pixel_values", pixelValues));
        SiglipVisionOutput expected = model.Forward(pixelValues, new SiglipForwardOptions { InterpolatePositionEncoding = height is not null });
        AssertClose(actual["last_hidden_state"], expected.LastHiddenState);
        if (model.Config.VisionUseHead)
            AssertClose(actual["pooler_output"], expected.PoolerOutput!);
    }

    private static void AssertClose(Tensor actual, Tensor expected)
    {
        double difference = ReferenceModels.LargestDifference(actual, expected);
        Assert.IsLessThanOrEqualTo(Tolerance, difference);
    }

    private static SiglipImageProcessorConfig Processor(OnnxSession onnx) =>
        SiglipImageProcessorConfig.FromJson(onnx.Session.ModelMetadata.CustomMetadataMap["preprocessor_config.json"]);

    private static ModelProto Read(string path)
    {
        using FileStream stream = File.OpenRead(path);
        return ModelProto.Parser.ParseFrom(stream);
    }
}
