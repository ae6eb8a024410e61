using System.Security.Cryptography;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class SiglipCheckpointTests
{
    [TestMethod]
    [DataRow("vision_only", ScalarType.Float32)]
    [DataRow("no_prefix", ScalarType.Float32)]
    [DataRow("full_model", ScalarType.Float32)]
    [DataRow("sharded", ScalarType.Float32)]
    [DataRow("no_head", ScalarType.Float32)]
    [DataRow("odd_config", ScalarType.Float32)]
    [DataRow("fp16", ScalarType.Float16)]
    [DataRow("bf16", ScalarType.BFloat16)]
    public void Every_kind_of_checkpoint_opens(string model, ScalarType storedDtype)
    {
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(ReferenceModels.Folder(model));
        Assert.AreEqual(storedDtype, checkpoint.StoredDtype);
        Assert.AreEqual(ReferenceModels.Folder(model), checkpoint.Source);
        Assert.IsNull(checkpoint.Labels);
        Assert.AreEqual(((SiglipVisionConfig)checkpoint.Config).ImageSize, ((SiglipImageProcessorConfig)checkpoint.ProcessorConfig).Height);

        using SiglipVisionModel loaded = checkpoint.LoadVisionModel();
        Assert.IsFalse(loaded.training);
        Dictionary<string, Tensor> parameters = loaded.state_dict();
        int compared = 0;
        foreach (string path in Directory.GetFiles(checkpoint.Source, "model*.safetensors"))
        {
            using SafetensorsFile file = SafetensorsFile.Open(path);
            foreach (string name in file.Tensors.Keys)
            {
                if (!parameters.TryGetValue(name, out Tensor? parameter) && !parameters.TryGetValue("vision_model." + name, out parameter))
                    continue; // of the text tower
                using Tensor stored = file.Read(name);
                Assert.AreEqual(ScalarType.Float32, parameter.dtype, name);
                Assert.AreEqual(0, ReferenceModels.LargestDifference(parameter, stored), name);
                compared++;
            }
        }

        Assert.AreEqual(parameters.Count, compared);
    }

    [TestMethod]
    public void Names_and_shapes_that_follow_from_the_configuration_equal_the_state_dict()
    {
        var small = new SiglipVisionConfig { HiddenSize = 12, IntermediateSize = 20, NumHiddenLayers = 2, NumAttentionHeads = 3, NumChannels = 1, ImageSize = 50, PatchSize = 16 };
        foreach (SiglipVisionConfig config in (SiglipVisionConfig[])[small, small with { VisionUseHead = false }, small with { NumHiddenLayers = 0, PatchSize = 7 }])
        {
            using var model = new SiglipForImageClassification(config, ["a", "b"]);
            CollectionAssert.AreEquivalent(
                model.state_dict().Select(pair => $"{pair.Key} [{string.Join(", ", pair.Value.shape)}]").ToArray(),
                ExpectedTensors.OfVisionModel(config).Select(tensor => (Name: ExpectedTensors.Prefix + tensor.Name, tensor.Shape))
                    .Concat(ExpectedTensors.OfClassifier(config, 2)).Select(tensor => $"{tensor.Name} [{string.Join(", ", tensor.Shape)}]").ToArray());
        }
    }

    [TestMethod]
    public void The_classifier_s_labels_are_those_of_the_configuration()
    {
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(ReferenceModels.Folder("image_classification"));
        CollectionAssert.AreEqual((string[])["cat", "dog", "bird", "fish", "other"], checkpoint.Labels!.ToArray());
    }

    [TestMethod]
    public void Classes_without_names_are_numbered()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("image_classification");
        folder.Replace("config.json", "\"id2label\"", "\"something_else\"");
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(folder.Path);
        CollectionAssert.AreEqual((string[])["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3", "LABEL_4"], checkpoint.Labels!.ToArray());
    }

    [TestMethod]
    [DataRow("vision_only")]
    [DataRow("full_model")]
    [DataRow("bf16")]
    [DataRow("image_classification")]
    public void A_checkpoint_can_travel_in_streams(string model)
    {
        using SiglipCheckpoint original = SiglipCheckpoint.Open(ReferenceModels.Folder(model)), copy = FromStreams(model, new MemoryStream(
            File.ReadAllBytes(Path.Combine(ReferenceModels.Folder(model), "model.safetensors"))));

        Assert.AreEqual(original.Config, copy.Config);
        Assert.AreEqual(original.ProcessorConfig, copy.ProcessorConfig);
        Assert.AreEqual(original.StoredDtype, copy.StoredDtype);
        CollectionAssert.AreEqual(original.Labels?.ToArray(), copy.Labels?.ToArray());
        using SiglipVisionModel one = original.LoadVisionModel(), other = copy.LoadVisionModel();
        AssertSameBits(one, other);
    }

    [TestMethod]
    public void Weights_that_fail_to_open_are_closed()
    {
        var stream = new MemoryStream(new byte[3]);
        Assert.Contains("the saved model: the file has 3 bytes", Assert.ThrowsExactly<InvalidDataException>(() => FromStreams("vision_only", stream)).Message);
        Assert.IsFalse(stream.CanRead);
    }

    [TestMethod]
    public void The_hash_is_the_SHA_256_of_the_weights()
    {
        using SiglipCheckpoint single = SiglipCheckpoint.Open(ReferenceModels.Folder("vision_only")), sharded = SiglipCheckpoint.Open(ReferenceModels.Folder("sharded"));
        Assert.AreEqual(Hash("vision_only", "model.safetensors"), single.ComputeSha256());
        Assert.AreEqual(Hash("sharded", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"), sharded.ComputeSha256());

        static string Hash(string model, params string[] files) => Convert.ToHexStringLower(
            SHA256.HashData([.. files.SelectMany(file => File.ReadAllBytes(Path.Combine(ReferenceModels.Folder(model), file)))]));
    }

    [TestMethod]
    [DataRow(ScalarType.Float32)]
    [DataRow(ScalarType.Float16)]
    [DataRow(ScalarType.BFloat16)]
    public void A_saved_vision_model_loads_with_the_same_bits(ScalarType storedDtype)
    {
        using var folder = new TemporaryFolder();
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("odd_config"));
        var processor = new SiglipImageProcessorConfig { Height = 24, Width = 24, Resample = ImageResampling.Bilinear, ImageMean = [0.1f, 0.2f, 0.3f] };
        model.SavePretrained(folder.File("new/folder"), processor, storedDtype);

        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(folder.File("new/folder"));
        using SiglipVisionModel loaded = checkpoint.LoadVisionModel();
        Assert.AreEqual(model.Config, checkpoint.Config);
        Assert.AreEqual(processor, checkpoint.ProcessorConfig);
        Assert.AreEqual(storedDtype, checkpoint.StoredDtype);
        using (no_grad())
        {
            foreach (Tensor parameter in model.parameters())
            {
                using Tensor rounded = parameter.to(storedDtype); // the rounding is all that may change
                parameter.copy_(rounded);
            }
        }

        AssertSameBits(model, loaded);
        CollectionAssert.AreEquivalent(
            (string[])["config.json", "preprocessor_config.json", "model.safetensors"], Directory.GetFiles(checkpoint.Source).Select(Path.GetFileName).ToArray());
    }

    [TestMethod]
    public void A_saved_classifier_loads_with_the_same_bits_and_in_the_layout_of_transformers()
    {
        using var folder = new TemporaryFolder();
        using SiglipForImageClassification model = SiglipForImageClassification.FromPretrained(ReferenceModels.Folder("image_classification"));
        model.SavePretrained(folder.Path);

        using SiglipForImageClassification loaded = SiglipForImageClassification.FromPretrained(folder.Path);
        AssertSameBits(model, loaded);
        CollectionAssert.AreEqual(model.Labels.ToArray(), loaded.Labels.ToArray());
        Assert.AreEqual(model.Config, loaded.Config);
        CollectionAssert.AreEqual(SafetensorsNames(ReferenceModels.Folder("image_classification")), SafetensorsNames(folder.Path));

        System.Text.Json.JsonElement config = System.Text.Json.JsonDocument.Parse(File.ReadAllText(folder.File("config.json"))).RootElement;
        Assert.AreEqual("SiglipForImageClassification", config.GetProperty("architectures")[0].GetString());
        Assert.AreEqual("siglip", config.GetProperty("model_type").GetString());
        Assert.AreEqual("siglip_vision_model", config.GetProperty("vision_config").GetProperty("model_type").GetString());
        Assert.AreEqual("dog", config.GetProperty("id2label").GetProperty("1").GetString());
        Assert.AreEqual(1, config.GetProperty("label2id").GetProperty("dog").GetInt32());
        Assert.AreEqual("float32", config.GetProperty("torch_dtype").GetString());

        static string[] SafetensorsNames(string path)
        {
            using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(path, "model.safetensors"));
            return [.. file.Tensors.Keys.Order(StringComparer.Ordinal)];
        }
    }

    [TestMethod]
    public void Saving_a_new_model_without_preprocessing_writes_the_defaults_at_its_image_size()
    {
        using var folder = new TemporaryFolder();
        using var model = new SiglipVisionModel(ColouredImages.Config);
        model.SavePretrained(folder.Path);
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(folder.Path);
        Assert.AreEqual(new SiglipImageProcessorConfig { Height = 8, Width = 8 }, checkpoint.ProcessorConfig);
    }

    [TestMethod]
    public void Saving_a_loaded_model_without_preprocessing_keeps_that_of_its_checkpoint()
    {
        using TemporaryFolder original = TemporaryFolder.CopyOf("image_classification");
        original.Replace("preprocessor_config.json", "\"resample\": 3", "\"resample\": 2");
        using SiglipCheckpoint source = SiglipCheckpoint.Open(original.Path);
        Assert.AreEqual(ImageResampling.Bilinear, source.ProcessorConfig.Resample);
        using SiglipVisionModel vision = source.LoadVisionModel();
        using SiglipForImageClassification classifier = source.LoadForImageClassification(), newClassifier = source.LoadForImageClassification(["a", "b"]);

        AssertKept(vision.SavePretrained);
        AssertKept(classifier.SavePretrained);
        AssertKept(newClassifier.SavePretrained);

        void AssertKept(Action<string, SiglipImageProcessorConfig?, ScalarType> save)
        {
            using var folder = new TemporaryFolder();
            save(folder.Path, null, ScalarType.Float32);
            using SiglipCheckpoint saved = SiglipCheckpoint.Open(folder.Path);
            Assert.AreEqual(source.ProcessorConfig, saved.ProcessorConfig);
        }
    }

    [TestMethod]
    public void Saving_with_preprocessing_of_another_size_is_refused()
    {
        using var folder = new TemporaryFolder();
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));
        ArgumentException error = Assert.ThrowsExactly<ArgumentException>(() => model.SavePretrained(folder.File("new"), new SiglipImageProcessorConfig()));
        Assert.Contains("images of 224 x 224 pixels, the model expects 32 x 32", error.Message);
        Assert.IsFalse(Directory.Exists(folder.File("new")));
    }

    [TestMethod]
    public void A_model_may_be_saved_over_the_checkpoint_that_it_came_from()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("vision_only");
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(folder.Path), original = SiglipVisionModel.FromPretrained(folder.Path);
        model.SavePretrained(folder.Path);
        using SiglipVisionModel loaded = SiglipVisionModel.FromPretrained(folder.Path);
        AssertSameBits(original, loaded);
    }

    [TestMethod]
    public void Saving_where_nothing_can_be_written_says_so_and_leaves_nothing()
    {
        using var folder = new TemporaryFolder();
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));

        File.WriteAllText(folder.File("file"), "");
        IOException below = Assert.ThrowsExactly<IOException>(() => model.SavePretrained(folder.File("file/model")));
        Assert.Contains($"'{folder.File("file/model")}' cannot be written: ", below.Message);

        Directory.CreateDirectory(folder.File("taken/model.safetensors"));
        IOException taken = Assert.ThrowsExactly<IOException>(() => model.SavePretrained(folder.File("taken")));
        Assert.Contains($"'{folder.File("taken/model.safetensors")}' cannot be written: ", taken.Message);
        Assert.IsEmpty(Directory.GetFiles(folder.File("taken")));
    }

    [TestMethod]
    public void Saving_in_another_type_is_refused()
    {
        using var folder = new TemporaryFolder();
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"));
        ArgumentException error = Assert.ThrowsExactly<ArgumentException>(() => model.SavePretrained(folder.Path, storedDtype: ScalarType.Float64));
        Assert.Contains("The stored type is Float64, expected Float32, Float16 or BFloat16.", error.Message);
    }

    [TestMethod]
    public void Loading_and_saving_leave_no_tensor_behind()
    {
        using var folder = new TemporaryFolder();
        foreach (string name in (string[])["vision_only", "fp16", "sharded"])
        {
            Assert.AreEqual(0, TensorCount.LeftBy(() =>
            {
                using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder(name));
                model.SavePretrained(folder.Path, storedDtype: ScalarType.BFloat16);
            }), name);
        }

        Assert.AreEqual(0, TensorCount.LeftBy(() => SiglipForImageClassification.FromPretrained(ReferenceModels.Folder("image_classification")).Dispose()));
    }

    [TestMethod]
    public void A_disposed_checkpoint_loads_nothing_but_its_models_live_on()
    {
        SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(ReferenceModels.Folder("image_classification"));
        using SiglipVisionModel model = checkpoint.LoadVisionModel();
        checkpoint.Dispose();
        checkpoint.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(() => checkpoint.LoadVisionModel());
        Assert.ThrowsExactly<ObjectDisposedException>(checkpoint.LoadForImageClassification);
        Assert.ThrowsExactly<ObjectDisposedException>(checkpoint.ComputeSha256);
        using Tensor pixelValues = zeros(1, 3, 32, 32), output = model.call(pixelValues);
        Assert.IsTrue(output.isfinite().all().item<bool>());
    }

    private static SiglipCheckpoint FromStreams(string model, Stream weights) => SiglipCheckpoint.FromStreams(
        File.ReadAllText(Path.Combine(ReferenceModels.Folder(model), "config.json")),
        File.ReadAllText(Path.Combine(ReferenceModels.Folder(model), "preprocessor_config.json")), weights, "the saved model");

    private static void AssertSameBits(nn.Module expected, nn.Module actual)
    {
        Dictionary<string, Tensor> one = expected.state_dict(), other = actual.state_dict();
        CollectionAssert.AreEquivalent(one.Keys.ToArray(), other.Keys.ToArray());
        foreach ((string name, Tensor value) in one)
            Assert.IsTrue(value.bytes.SequenceEqual(other[name].bytes), name);
    }
}
