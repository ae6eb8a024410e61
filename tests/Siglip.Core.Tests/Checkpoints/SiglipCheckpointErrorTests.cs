using System.Text.Json.Nodes;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class SiglipCheckpointErrorTests
{
    [TestMethod]
    public void A_name_that_may_be_a_folder_or_a_model_of_the_hub_is_explained_as_both()
    {
        FileNotFoundException error = Assert.ThrowsExactly<FileNotFoundException>(() => SiglipCheckpoint.Open("models/mine", offline: true));
        Assert.Contains("'models/mine@main' is not in the cache", error.Message);
        Assert.EndsWith($"There is no folder '{Path.GetFullPath("models/mine")}' either.", error.Message);
    }

    [TestMethod]
    public void A_missing_folder_is_named_with_its_full_path()
    {
        FileNotFoundException error = Assert.ThrowsExactly<FileNotFoundException>(() => SiglipCheckpoint.Open("./nobody"));
        Assert.Contains($"The folder '{Path.GetFullPath("nobody")}' does not exist. Name a folder with config.json", error.Message);
    }

    [TestMethod]
    [DataRow(float.NaN)]
    [DataRow(float.NegativeInfinity)]
    public void A_weight_that_is_no_finite_number_is_refused_by_its_tensor_s_name(float value)
    {
        using var folder = TemporaryFolder.CopyOf("vision_only");
        byte[] file = File.ReadAllBytes(folder.File("model.safetensors"));
        string name;
        using (SafetensorsFile weights = SafetensorsFile.Open(folder.File("model.safetensors")))
        {
            name = weights.Tensors.Keys.Single(tensor => tensor.EndsWith("layers.1.mlp.fc2.weight", StringComparison.Ordinal));
            BitConverter.TryWriteBytes(file.AsSpan((int)weights.Tensors[name].Offset + 40), value);
        }

        File.WriteAllBytes(folder.File("model.safetensors"), file);
        string message = Assert.ThrowsExactly<InvalidDataException>(() => SiglipVisionModel.FromPretrained(folder.Path)).Message;
        Assert.Contains($"tensor '{name}' has values that are no finite numbers (NaN or infinity)", message);
        Assert.ThrowsExactly<InvalidDataException>(() => SiglipImageEmbedder.FromPretrained(folder.Path));
    }

    [TestMethod]
    public void A_file_in_place_of_a_folder_is_refused()
    {
        string path = Path.Combine(ReferenceModels.Folder("vision_only"), "model.safetensors");
        Assert.Contains("is a file; name the folder", Assert.ThrowsExactly<ArgumentException>(() => SiglipCheckpoint.Open(path)).Message);
    }

    [TestMethod]
    [DataRow("config.json", "Copy the config.json that belongs to the weights into the folder.")]
    [DataRow("preprocessor_config.json", "It says how images are resized and normalized, which decides the numbers")]
    [DataRow("model.safetensors", "nor 'model.safetensors.index.json'. Put the weights there in the safetensors format.")]
    public void A_missing_file_is_named_with_its_full_path(string file, string message)
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("vision_only");
        File.Delete(folder.File(file));
        FileNotFoundException error = Assert.ThrowsExactly<FileNotFoundException>(() => SiglipCheckpoint.Open(folder.Path));
        Assert.AreEqual(folder.File(file), error.FileName);
        Assert.Contains($"'{folder.File(file)}'", error.Message);
        Assert.Contains(message, error.Message);
    }

    [TestMethod]
    public void A_pickle_file_is_not_read()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("vision_only");
        File.Move(folder.File("model.safetensors"), folder.File("pytorch_model.bin"));
        Assert.Contains("pytorch_model.bin is not read", Assert.ThrowsExactly<FileNotFoundException>(() => SiglipCheckpoint.Open(folder.Path)).Message);
    }

    [TestMethod]
    public void A_configuration_of_another_image_size_is_refused_with_both_shapes()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("vision_only");
        folder.Replace("config.json", "\"image_size\": 32", "\"image_size\": 48");
        CheckRefused(folder, "Tensor 'vision_model.embeddings.position_embedding.weight' has shape [16, 64], expected [36, 64] for image size 48. "
            + "Use the config.json that belongs to this checkpoint.");
    }

    [TestMethod]
    public void All_missing_unexpected_and_misshapen_tensors_are_listed_at_once()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("vision_only");
        Rewrite(folder, tensors =>
        {
            tensors.Remove("vision_model.head.probe");
            tensors.Remove("vision_model.post_layernorm.bias");
            tensors["vision_model.stranger"] = ones(2);
            tensors["other_stranger"] = ones(2);
            tensors["vision_model.encoder.layers.0.mlp.fc1.weight"] = ones(64, 128);
            tensors["vision_model.encoder.layers.0.mlp.fc1.bias"] = ones(1); // load_state_dict would stretch it
            tensors["vision_model.encoder.layers.0.mlp.fc2.bias"] = ones(64, dtype: int64);
        });
        CheckRefused(folder,
            "Missing (2): 'vision_model.post_layernorm.bias', 'vision_model.head.probe'.",
            "Unexpected (2): 'other_stranger', 'vision_model.stranger'.",
            "Tensor 'vision_model.encoder.layers.0.mlp.fc1.weight' has shape [64, 128], expected [128, 64].",
            "Tensor 'vision_model.encoder.layers.0.mlp.fc1.bias' has shape [1], expected [128].",
            "Tensor 'vision_model.encoder.layers.0.mlp.fc2.bias' has dtype I64, expected F32, F16 or BF16.",
            "Use the config.json that belongs to this checkpoint.");
    }

    [TestMethod]
    public void Long_lists_are_shortened_with_a_count()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("vision_only");
        folder.Replace("config.json", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 5");
        CheckRefused(folder, "Missing (32): 'vision_model.encoder.layers.3.layer_norm1.weight'", " and 22 more.");

        folder.Replace("config.json", "\"intermediate_size\": 128", "\"intermediate_size\": 130");
        CheckRefused(folder, "2 more tensors have a wrong shape or dtype.");
    }

    [TestMethod]
    public void A_head_that_the_configuration_excludes_is_unexpected()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("vision_only");
        folder.Replace("config.json", "\"patch_size\": 8", "\"patch_size\": 8, \"vision_use_head\": false");
        CheckRefused(folder, "Unexpected (11): ", "'vision_model.head.attention.in_proj_weight'");
    }

    [TestMethod]
    public void A_buffer_of_position_numbers_is_ignored()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("vision_only");
        Rewrite(folder, tensors => tensors["vision_model.embeddings.position_ids"] = arange(16, dtype: int64).unsqueeze(0));
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(folder.Path);
        Assert.Contains("vision_model.embeddings.position_ids", checkpoint.Tensors.Keys);
        checkpoint.LoadVisionModel().Dispose();
    }

    [TestMethod]
    public void A_huge_model_in_the_configuration_is_refused_before_memory_is_taken()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("vision_only");
        folder.Replace("config.json", "\"hidden_size\": 64", "\"hidden_size\": 65536");
        folder.Replace("config.json", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 1000");
        long before = GC.GetTotalMemory(forceFullCollection: true), workingSet = Environment.WorkingSet;
        CheckRefused(folder, "Missing (15952): ", "Tensor 'vision_model.embeddings.patch_embedding.weight' has shape [64, 3, 8, 8], expected [65536, 3, 8, 8] for patch size 8.");
        Assert.IsLessThan(200_000_000, Environment.WorkingSet - workingSet);
        Assert.IsLessThan(50_000_000, GC.GetTotalMemory(forceFullCollection: true) - before);
    }

    [TestMethod]
    public void Json_of_unreasonable_size_is_refused()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("vision_only");
        File.WriteAllText(folder.File("config.json"), new string(' ', (1 << 24) + 1));
        CheckRefused(folder, $"'{folder.File("config.json")}' has 16,777,217 bytes, at most 16,777,216 are allowed");
    }

    [TestMethod]
    [DataRow("config.json", "{", "is not valid JSON")]
    [DataRow("config.json", "[]", "holds no JSON object")]
    [DataRow("config.json", "{\"hidden_act\":\"\\ud800\"}", "is not valid JSON")]
    [DataRow("config.json", "{\"\\ud800\":[{}]}", "is not valid JSON")]
    [DataRow("config.json", "{\"model_type\":\"clip\"}", "model_type is 'clip', expected siglip, siglip_vision_model, siglip2 or siglip2_vision_model")]
    [DataRow("config.json", "{\"model_type\":\"siglip\",\"vision_config\":[768]}", "'vision_config' is no object, expected one with the sizes of the vision transformer.")]
    [DataRow("config.json", "{\"model_type\":\"vit\"}", "model_type is 'vit', expected siglip")]
    [DataRow("config.json", "{\"model_type\":\"siglip_text_model\"}", "model_type is 'siglip_text_model', a text tower without a vision tower; use a checkpoint of the whole model")]
    [DataRow("config.json", "{\"model_type\":\"siglip2_text_model\"}", "model_type is 'siglip2_text_model', a text tower without a vision tower")]
    [DataRow("preprocessor_config.json", "", "is not valid JSON")]
    [DataRow("preprocessor_config.json", "{\"image_processor_type\":\"Siglip2ImageProcessorFast\"}", "image_processor_type is 'Siglip2ImageProcessorFast', that of a model with variable resolution")]
    [DataRow("preprocessor_config.json", "{\"max_num_patches\":256,\"patch_size\":16,\"size\":null}", "has max_num_patches and no size, which is for a model with variable resolution")]
    [DataRow("preprocessor_config.json", "{\"image_processor_type\":\"CLIPImageProcessor\",\"do_center_crop\":true,\"size\":{\"shortest_edge\":224}}", "do_center_crop is true, but SigLIP's preprocessing crops nothing")]
    [DataRow("preprocessor_config.json", "{\"size\":{\"shortest_edge\":224}}", "expected an object with height and width")]
    [DataRow("preprocessor_config.json", "{\"resample\":7}", "resample is 7, expected 2 (bilinear) or 3 (bicubic)")]
    [DataRow("model.safetensors", "", "the file has 0 bytes")]
    public void A_damaged_file_is_named_with_its_full_path(string file, string contents, string message)
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("vision_only");
        File.WriteAllText(folder.File(file), contents);
        CheckRefused(folder, $"'{folder.File(file)}'", message);
    }

    [TestMethod]
    [DataRow("\"../model-00002-of-00002.safetensors\"")]
    [DataRow("\"/etc/model.safetensors\"")]
    [DataRow("\"a\\\\b.safetensors\"")]
    [DataRow("\"C:b.safetensors\"")]
    [DataRow("\"..\"")]
    [DataRow("\"model.bin\"")]
    [DataRow("7")]
    [DataRow("\"NUL.safetensors\"")]
    [DataRow("\"con.of-00002.safetensors\"")]
    [DataRow("\"COM1 .safetensors\"")]
    [DataRow("\"a?b.safetensors\"")]
    [DataRow("\"a\\u0000b.safetensors\"")]
    public void An_index_cannot_lead_out_of_the_folder(string shard)
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("sharded");
        folder.Replace("model.safetensors.index.json", "\"model-00002-of-00002.safetensors\"", shard);
        CheckRefused(folder, "expected the plain name of a .safetensors file in the same folder");
    }

    [TestMethod]
    public void An_index_without_a_map_is_refused()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("sharded");
        folder.Replace("model.safetensors.index.json", "weight_map", "other_map");
        CheckRefused(folder, "model.safetensors.index.json' has no weight_map");
    }

    [TestMethod]
    public void A_missing_shard_is_named_with_its_full_path()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("sharded");
        File.Delete(folder.File("model-00002-of-00002.safetensors"));
        FileNotFoundException error = Assert.ThrowsExactly<FileNotFoundException>(() => SiglipCheckpoint.Open(folder.Path));
        Assert.AreEqual(folder.File("model-00002-of-00002.safetensors"), error.FileName);
    }

    [TestMethod]
    public void An_index_that_does_not_fit_its_shards_is_refused_by_tensor()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("sharded");
        folder.Replace("model.safetensors.index.json", "\"vision_model.head.mlp.fc2.bias\": \"model-00002", "\"vision_model.head.mlp.fc2.bias\": \"model-00001");
        CheckRefused(folder, "names tensors that are not in the file it says: 'vision_model.head.mlp.fc2.bias'.");
    }

    [TestMethod]
    public void A_tensor_in_two_shards_is_refused()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("sharded");
        File.Copy(folder.File("model-00001-of-00002.safetensors"), folder.File("model-00002-of-00002.safetensors"), overwrite: true);
        CheckRefused(folder, "is also in '");
    }

    [TestMethod]
    public void A_tensor_that_the_index_does_not_name_is_refused()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("sharded");
        folder.Replace("model.safetensors.index.json", "\"vision_model.post_layernorm.bias\"", "\"vision_model.post_layernorm.weight2\"");
        CheckRefused(folder, "names tensors that are not in the file it says: 'vision_model.post_layernorm.weight2'.");

        JsonNode index = JsonNode.Parse(File.ReadAllText(folder.File("model.safetensors.index.json")))!;
        index["weight_map"]!.AsObject().Remove("vision_model.post_layernorm.weight2");
        File.WriteAllText(folder.File("model.safetensors.index.json"), index.ToJsonString());
        CheckRefused(folder, "does not name tensors that are in its files: 'vision_model.post_layernorm.bias'. The files do not belong together");
    }

    [TestMethod]
    [DataRow("\"total_size\": 1")]
    [DataRow("\"total_size\": null")]
    [DataRow("\"other\": 1")]
    public void What_an_index_says_of_sizes_is_ignored(string size)
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("sharded");
        folder.Replace("model.safetensors.index.json", "\"total_size\": 1544960", size);
        SiglipCheckpoint.Open(folder.Path).Dispose();
    }

    [TestMethod]
    public void The_settings_that_transformers_5_saves_are_read_first()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("vision_only");
        string settings = File.ReadAllText(folder.File("preprocessor_config.json"));
        File.WriteAllText(folder.File("processor_config.json"), """{ "processor_class": "SiglipProcessor" }""");
        using (SiglipCheckpoint older = SiglipCheckpoint.Open(folder.Path))
            Assert.AreEqual(ImageResampling.Bicubic, older.ProcessorConfig.Resample);
        using (SiglipVisionModel same = SiglipVisionModel.FromPretrained(folder.Path))
            same.SavePretrained(folder.Path); // such a file hides nothing

        File.WriteAllText(folder.File("processor_config.json"), $$"""{ "image_processor": {{settings.Replace("\"resample\": 3", "\"resample\": 2", StringComparison.Ordinal)}} }""");
        using (SiglipCheckpoint newer = SiglipCheckpoint.Open(folder.Path))
            Assert.AreEqual(ImageResampling.Bilinear, newer.ProcessorConfig.Resample);
        File.Delete(folder.File("preprocessor_config.json"));
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(folder.Path);
        Assert.AreEqual(ImageResampling.Bilinear, model.ProcessorConfig!.Resample);
        Assert.Contains("processor_config.json", Assert.ThrowsExactly<IOException>(() => model.SavePretrained(folder.Path)).Message);

        File.WriteAllText(folder.File("processor_config.json"), """{ "image_processor": { "resample": 7 } }""");
        CheckRefused(folder, "processor_config.json': resample is 7");
        File.WriteAllText(folder.File("processor_config.json"), "{");
        CheckRefused(folder, "processor_config.json' is not valid JSON");
    }

    [TestMethod]
    public void A_text_tower_alone_is_named_as_such()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("full_model");
        Rewrite(folder, tensors => RemoveAll(tensors, name => name.StartsWith("vision_model.", StringComparison.Ordinal)));
        CheckRefused(folder, $"'{folder.Path}': the weights are a text tower ('text_model.embeddings.token_embedding.weight') without a vision tower; "
            + "use a checkpoint of the whole model or of its vision tower.");
    }

    [TestMethod]
    [DataRow("vision_tower.vision_model.")]
    [DataRow("model.vision_model.")]
    [DataRow("vision_tower.")]
    public void Tensors_of_a_larger_model_are_named_as_such(string prefix)
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("vision_only");
        Rewrite(folder, tensors =>
        {
            foreach (string name in tensors.Keys.ToArray())
            {
                tensors.Remove(name, out Tensor? value);
                tensors.Add(prefix + name["vision_model.".Length..], value!);
            }

            tensors.Add("language_model.norm.weight", ones(1));
        });
        CheckRefused(folder, $"the vision tower's tensors are named '{prefix}…', expected 'vision_model.…' or no prefix, so this is a part of a larger model");
    }

    [TestMethod]
    public void Weights_with_variable_resolution_and_a_configuration_with_fixed_resolution_are_named_as_such()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("../naflex");
        folder.Replace("config.json", "siglip2_vision_model", "siglip_vision_model");
        File.Copy(Path.Combine(ReferenceModels.Folder("vision_only"), "preprocessor_config.json"), folder.File("preprocessor_config.json"), overwrite: true);
        CheckRefused(folder, "the weights are those of a model with variable resolution (NaFlex), because 'vision_model.embeddings.patch_embedding.weight' has shape [32, 192], "
            + "but config.json describes one with fixed resolution; use the config.json that belongs to them, whose model_type is siglip2");
    }

    [TestMethod]
    public void Weights_with_fixed_resolution_and_a_configuration_with_variable_resolution_are_named_as_such()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("vision_only");
        folder.Replace("config.json", "siglip_vision_model", "siglip2_vision_model");
        CheckRefused(folder, "image_processor_type is 'SiglipImageProcessor', that of a model with fixed resolution, expected Siglip2ImageProcessor");

        File.WriteAllText(folder.File("preprocessor_config.json"), """{ "size": { "height": 32, "width": 32 } }""");
        CheckRefused(folder, "has size and no max_num_patches, which is for a model with fixed resolution");

        File.Copy(ReferenceModels.PathOf("naflex", "preprocessor_config.json"), folder.File("preprocessor_config.json"), overwrite: true);
        CheckRefused(folder, "the weights are those of a model with fixed resolution, because 'vision_model.embeddings.patch_embedding.weight' has shape [64, 3, 8, 8], "
            + "but config.json describes one with variable resolution (NaFlex); use the config.json that belongs to them, whose model_type is siglip or siglip_vision_model.");
    }

    [TestMethod]
    public void A_checkpoint_of_one_resolution_loads_no_model_of_the_other()
    {
        Assert.Contains("is a model with variable resolution (NaFlex); load it as a Siglip2VisionModel", Assert.ThrowsExactly<InvalidOperationException>(
            () => SiglipVisionModel.FromPretrained(ReferenceModels.PathOf("naflex"))).Message);
        Assert.Contains("is a model with fixed resolution; load it as a SiglipVisionModel", Assert.ThrowsExactly<InvalidOperationException>(
            () => Siglip2VisionModel.FromPretrained(ReferenceModels.Folder("vision_only"))).Message);
    }

    [TestMethod]
    public void Quantized_weights_are_refused_with_the_method()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("vision_only");
        Rewrite(folder, tensors => tensors["vision_model.encoder.layers.0.mlp.fc1.weight"] = zeros(4096, 1, dtype: uint8));
        folder.Replace("config.json", "\"patch_size\": 8", "\"patch_size\": 8, \"quantization_config\": { \"quant_method\": \"bitsandbytes\" }");
        CheckRefused(folder, $"'{folder.Path}': the weights are quantized (bitsandbytes), which is not read; use the checkpoint with the original weights, in F32, F16 or BF16.");
    }

    [TestMethod]
    [DataRow(ScalarType.Int8, "I8")]
    [DataRow(ScalarType.Byte, "U8")]
    [DataRow(ScalarType.Int64, "I64")]
    [DataRow(ScalarType.Float64, "F64")]
    public void Weights_of_another_type_are_refused_by_name(ScalarType dtype, string name)
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("vision_only");
        Rewrite(folder, tensors =>
        {
            foreach (string key in (string[])["vision_model.head.mlp.fc1.weight", "vision_model.head.mlp.fc2.weight"])
                tensors[key] = tensors[key].to(dtype);
        });
        CheckRefused(folder,
            $"Tensor 'vision_model.head.mlp.fc1.weight' has dtype {name}, expected F32, F16 or BF16. Tensor 'vision_model.head.mlp.fc2.weight' has dtype {name}, ",
            "Use the checkpoint with the original weights, or convert these tensors.");
    }

    [TestMethod]
    public void A_checkpoint_that_does_not_fit_can_be_inspected_but_loads_no_model()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("vision_only");
        Rewrite(folder, tensors =>
        {
            tensors.Remove("vision_model.head.probe");
            tensors["stranger"] = ones(2);
            tensors["vision_model.encoder.layers.0.mlp.fc1.bias"] = ones(1);
        });

        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Inspect(folder.Path);

        CollectionAssert.AreEqual((string[])["vision_model.head.probe"], checkpoint.Faults.Missing.ToArray());
        CollectionAssert.AreEqual((string[])["stranger"], checkpoint.Faults.Unexpected.ToArray());
        CollectionAssert.AreEqual((string[])["vision_model.encoder.layers.0.mlp.fc1.bias"], checkpoint.Faults.Misfits.Select(misfit => misfit.Name).ToArray());
        Assert.Contains("Missing (1): 'vision_model.head.probe'. Unexpected (1): 'stranger'.", Assert.ThrowsExactly<InvalidDataException>(() => checkpoint.LoadVisionModel().Dispose()).Message);
        Assert.ThrowsExactly<InvalidDataException>(() => checkpoint.LoadForImageClassification(["a"]).Dispose());
    }

    [TestMethod]
    public void Parts_that_are_not_used_are_no_fault()
    {
        using SiglipCheckpoint full = SiglipCheckpoint.Open(ReferenceModels.Folder("full_model")), vision = SiglipCheckpoint.Open(ReferenceModels.Folder("vision_only"));
        string[] unused = [.. full.UnusedTensors];
        Assert.HasCount(40, unused);
        Assert.HasCount(38, unused.Where(name => name.StartsWith("text_model.", StringComparison.Ordinal)).ToArray());
        Assert.IsFalse(full.Faults.Any);
        Assert.IsEmpty(vision.UnusedTensors);
    }

    [TestMethod]
    public void A_checkpoint_without_a_classifier_loads_no_classifier()
    {
        InvalidOperationException error = Assert.ThrowsExactly<InvalidOperationException>(
            () => SiglipForImageClassification.FromPretrained(ReferenceModels.Folder("vision_only")));
        Assert.Contains("has no classifier (no tensor classifier.weight)", error.Message);
    }

    [TestMethod]
    public void A_classifier_of_another_number_of_classes_is_refused_but_the_vision_model_loads()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("image_classification");
        folder.Replace("config.json", "\"3\": \"fish\",\n    \"4\": \"other\"", "\"3\": \"fish\"");
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(folder.Path);
        checkpoint.LoadVisionModel().Dispose();
        InvalidDataException error = Assert.ThrowsExactly<InvalidDataException>(checkpoint.LoadForImageClassification);
        Assert.Contains("Tensor 'classifier.weight' has shape [5, 64], expected [4, 64].", error.Message);
        Assert.Contains("Tensor 'classifier.bias' has shape [5], expected [4].", error.Message);
    }

    [TestMethod]
    public void A_label_twice_is_refused_but_the_vision_model_loads()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("image_classification");
        folder.Replace("config.json", "\"3\": \"fish\"", "\"3\": \"cat\"");
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(folder.Path);
        checkpoint.LoadVisionModel().Dispose();
        Assert.Contains("has the label 'cat' twice", Assert.ThrowsExactly<InvalidDataException>(checkpoint.LoadForImageClassification).Message);
    }

    [TestMethod]
    [DataRow("\"7\": \"fish\"")]
    [DataRow("\"0\": \"fish\"")]
    [DataRow("\"-3\": \"fish\"")]
    [DataRow("\"x\": \"fish\"")]
    [DataRow("\"3\": 3")]
    public void Labels_that_are_not_numbered_from_zero_are_refused_but_the_vision_model_loads(string label)
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf("image_classification");
        folder.Replace("config.json", "\"3\": \"fish\"", label);
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(folder.Path);

        checkpoint.LoadVisionModel().Dispose();

        string expected = $"'{folder.File("config.json")}': 'id2label' has {label}, expected each number from 0 to 4 once, with the name of its class";
        Assert.StartsWith(expected, Assert.ThrowsExactly<InvalidDataException>(() => checkpoint.Labels).Message);
        Assert.StartsWith(expected, Assert.ThrowsExactly<InvalidDataException>(checkpoint.LoadForImageClassification).Message);
    }

    private static void CheckRefused(TemporaryFolder folder, params string[] messages)
    {
        InvalidDataException error = Assert.ThrowsExactly<InvalidDataException>(() => SiglipCheckpoint.Open(folder.Path));
        foreach (string message in messages)
            Assert.Contains(message, error.Message);
    }

    private static void RemoveAll(Dictionary<string, Tensor> tensors, Func<string, bool> which)
    {
        foreach (string name in tensors.Keys.Where(which).ToArray())
            tensors.Remove(name);
    }

    private static void Rewrite(TemporaryFolder folder, Action<Dictionary<string, Tensor>> change)
    {
        TorchNative.Ensure();
        using DisposeScope scope = NewDisposeScope();
        Dictionary<string, Tensor> tensors;
        using (SafetensorsFile file = SafetensorsFile.Open(folder.File("model.safetensors")))
            tensors = file.Tensors.Keys.ToDictionary(name => name, file.Read);
        change(tensors);
        SafetensorsFile.Write(folder.File("model.safetensors"), tensors.Select(pair => (pair.Key, pair.Value)));
    }
}
