using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class SiglipCheckpointErrorTests
{
    [TestMethod]
    public void A_hub_id_without_such_a_folder_says_what_to_do()
    {
        FileNotFoundException error = Assert.ThrowsExactly<FileNotFoundException>(() => SiglipCheckpoint.Open("google/siglip-base-patch16-224"));
        Assert.Contains($"The folder '{Path.GetFullPath("google/siglip-base-patch16-224")}' does not exist.", error.Message);
        Assert.Contains("copy its files config.json, preprocessor_config.json and model.safetensors into a folder, and name that folder", error.Message);
    }

    [TestMethod]
    public void A_missing_folder_is_named_with_its_full_path()
    {
        FileNotFoundException error = Assert.ThrowsExactly<FileNotFoundException>(() => SiglipCheckpoint.Open("./nobody"));
        Assert.Contains($"The folder '{Path.GetFullPath("nobody")}' does not exist. Name a folder with config.json", error.Message);
        Assert.DoesNotContain("Hugging Face", error.Message);
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
    [DataRow("preprocessor_config.json", "", "is not valid JSON")]
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
