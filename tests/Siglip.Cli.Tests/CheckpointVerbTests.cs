using System.Text.Json.Nodes;
using Siglip.Core;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Cli.Tests;

[TestClass]
public sealed class CheckpointVerbTests
{
    [TestMethod]
    public void Forward_writes_what_transformers_computed()
    {
        using var folder = new TestFolder();
        string expectedFile = Path.Combine(TestFolder.VisionOnly, "expected.safetensors");

        SiglipProcess.Run(folder.Path, "forward", "--model", TestFolder.VisionOnly, "--input", expectedFile, "--output", "y.safetensors",
            "--hidden-states", "--attentions").Succeeded();

        using DisposeScope scope = Scope();
        using SafetensorsFile expected = SafetensorsFile.Open(expectedFile);
        using SafetensorsFile actual = SafetensorsFile.Open(Path.Combine(folder.Path, "y.safetensors"));
        string[] names = ["last_hidden_state", "pooler_output", .. Enumerable.Range(0, 4).Select(i => $"hidden_states.{i}"), .. Enumerable.Range(0, 3).Select(i => $"attentions.{i}")];
        CollectionAssert.AreEquivalent(names, actual.Tensors.Keys.ToArray());
        foreach (string name in names)
            Assert.IsLessThanOrEqualTo(3e-5f, Difference(expected.Read(name), actual.Read(name)), name);
    }

    [TestMethod]
    public void Forward_compares_its_outputs_with_those_of_another_program()
    {
        using var folder = new TestFolder();
        string expected = Path.Combine(TestFolder.VisionOnly, "expected.safetensors");
        string[] forward = ["forward", "--model", TestFolder.VisionOnly, "--input", expected, "--output", "y.safetensors"];

        SiglipResult close = SiglipProcess.Run(folder.Path, [.. forward, "--expected", expected, "--tolerance", "2e-5"]).Succeeded();
        Assert.MatchesRegex(@"pooler_output +\[2, 64\] +\d\.\de-\d", close.Output);
        SiglipProcess.Run(folder.Path, [.. forward, "--expected", expected, "--tolerance", "1e-9"]).Failed("more than the 1e-9 of --tolerance");
        SiglipProcess.Run(folder.Path, [.. forward, "--expected", Path.Combine(TestFolder.VisionOnly, "model.safetensors")]).Failed("has none of the outputs");

        string naFlex = Path.Combine(TestFolder.NaFlex, "expected.safetensors"); // padding is not compared
        SiglipProcess.Run(folder.Path, "forward", "--model", TestFolder.NaFlex, "--input", naFlex, "--output", "y.safetensors", "--hidden-states", "--attentions",
            "--expected", naFlex, "--tolerance", "2e-5").Succeeded();
        SiglipProcess.Run(folder.Path, "forward", "--model", TestFolder.NaFlex, "--input", naFlex, "--output", "y.safetensors", "--expected", expected)
            .Failed("with shape [2, 16, 64], the model gives [4, 22, 32]");
    }

    [TestMethod]
    public void Forward_without_pixel_values_says_so()
    {
        using var folder = new TestFolder();

        SiglipProcess.Run(folder.Path, "forward", "--model", TestFolder.VisionOnly, "--input", Path.Combine(TestFolder.VisionOnly, "model.safetensors"), "--output", "y.safetensors")
            .Failed("has no tensor 'pixel_values'");

        Assert.IsEmpty(folder.Entries());
    }

    [TestMethod]
    public void Forward_takes_what_a_model_with_variable_resolution_needs_and_says_what_is_missing()
    {
        using var folder = new TestFolder();
        string inputs = Path.Combine(TestFolder.NaFlex, "expected.safetensors");

        SiglipProcess.Run(folder.Path, "forward", "--model", TestFolder.NaFlex, "--input", inputs, "--output", "y.safetensors", "--hidden-states", "--attentions").Succeeded();

        using (DisposeScope scope = Scope())
        using (SafetensorsFile expected = SafetensorsFile.Open(inputs))
        using (SafetensorsFile actual = SafetensorsFile.Open(Path.Combine(folder.Path, "y.safetensors")))
        {
            Tensor valid = expected.Read("pixel_attention_mask").to(@bool);
            string[] ofPatches = ["last_hidden_state", "hidden_states.0", "hidden_states.1", "hidden_states.2"];
            CollectionAssert.AreEquivalent((string[])[.. ofPatches, "pooler_output", "attentions.0", "attentions.1"], actual.Tensors.Keys.ToArray());
            foreach (string name in ofPatches)
                Assert.IsLessThanOrEqualTo(2e-5f, Difference(expected.Read(name)[valid], actual.Read(name)[valid]), name);
            Assert.IsLessThanOrEqualTo(9e-6f, Difference(expected.Read("pooler_output"), actual.Read("pooler_output")));
            SafetensorsFile.Write(Path.Combine(folder.Path, "x.safetensors"), [("pixel_values", expected.Read("pixel_values"))]);
        }

        SiglipProcess.Run(folder.Path, "forward", "--model", TestFolder.NaFlex, "--input", "x.safetensors", "--output", "z.safetensors")
            .Failed("'x.safetensors' has no tensor 'pixel_attention_mask' and no tensor 'spatial_shapes'; a model with variable resolution (NaFlex) needs pixel_values,");
        SiglipProcess.Run(folder.Path, "forward", "--model", TestFolder.VisionOnly, "--input", inputs, "--output", "z.safetensors")
            .Failed($"pixel_values of '{inputs}' has shape [4, 22, 192], expected [batch, 3, 32, 32]");
        CollectionAssert.AreEqual((string[])["x.safetensors", "y.safetensors"], folder.Entries());
    }

    [TestMethod]
    public void Forward_in_half_precision_writes_float32()
    {
        using var folder = new TestFolder();
        string expectedFile = Path.Combine(TestFolder.VisionOnly, "expected.safetensors");

        SiglipProcess.Run(folder.Path, "forward", "--model", TestFolder.VisionOnly, "--input", expectedFile, "--output", "y.safetensors", "--precision", "bfloat16", "--attentions").Succeeded();

        using DisposeScope scope = Scope();
        using SafetensorsFile expected = SafetensorsFile.Open(expectedFile);
        using SafetensorsFile actual = SafetensorsFile.Open(Path.Combine(folder.Path, "y.safetensors"));
        foreach (string name in actual.Tensors.Keys)
        {
            Assert.AreEqual(ScalarType.Float32, actual.Tensors[name].Dtype, name);
            float difference = Difference(expected.Read(name), actual.Read(name));
            Assert.IsLessThanOrEqualTo(0.2f, difference, name);
            Assert.IsGreaterThan(1e-4f, difference, $"{name} was computed in float32");
        }
    }

    [TestMethod]
    public void A_checkpoints_classifier_takes_another_size_precision_image_backend_and_orientation()
    {
        using var folder = new TestFolder();

        float[] found = [.. JsonNode.Parse(SiglipProcess.Run(folder.Path, "predict", TestFolder.Classifier, TestFolder.TurnedPhoto, "--image-size", "40x64", "--interpolate-pos-encoding",
            "--apply-exif-orientation", "--image-backend", "torchvision", "--json").Succeeded().Output)![0]!["probabilities"]!.AsObject().Select(pair => (float)pair.Value!)];

        using DisposeScope scope = Scope();
        using SiglipForImageClassification model = SiglipForImageClassification.FromPretrained(TestFolder.Classifier);
        var processor = new SiglipImageProcessor(new SiglipImageProcessorConfig { Height = 40, Width = 64 }, SiglipImageBackend.Torchvision);
        Tensor pixels = tensor(processor.Preprocess(RgbImage.Load(TestFolder.TurnedPhoto, applyExifOrientation: true)), [1, 3, 40, 64]);
        float[] expected = model.Forward(pixels, interpolatePositionEncoding: true).softmax(-1).data<float>().ToArray();
        Assert.HasCount(5, found);
        for (int i = 0; i < 5; i++)
            Assert.AreEqual(expected[i], found[i], 1e-6);

        JsonNode evaluated = JsonNode.Parse(SiglipProcess.Run(folder.Path, "evaluate", "nano", TestFolder.NewSamples, "--precision", "bfloat16", "--image-backend", "torchvision", "--json").Succeeded().Output)!;
        Assert.IsGreaterThan(0.5, (double)evaluated["accuracy"]!);
        SiglipProcess.Run(folder.Path, "predict", TestFolder.Classifier, TestFolder.TurnedPhoto, "--image-size", "40").Failed("add --interpolate-pos-encoding");
        SiglipProcess.Run(folder.Path, "predict", TestFolder.NaFlex, TestFolder.TurnedPhoto).Failed("siglip train FOLDER --model");
    }

    [TestMethod]
    public void Info_says_what_a_checkpoint_holds()
    {
        using var folder = new TestFolder();

        SiglipResult nano = SiglipProcess.Run(folder.Path, "info", "nano").Succeeded();
        Assert.Contains("airplane, automobile, bird", nano.Output);

        JsonNode info = JsonNode.Parse(SiglipProcess.Run(folder.Path, "info", TestFolder.VisionOnly, "--json").Succeeded().Output)!;
        Assert.AreEqual(64, (int)info["config"]!["hidden_size"]!);
        Assert.AreEqual(16, (int)info["patches"]!);
        using SafetensorsFile weights = SafetensorsFile.Open(Path.Combine(TestFolder.VisionOnly, "model.safetensors"));
        Assert.AreEqual(weights.Tensors.Values.Sum(tensor => tensor.Shape.Aggregate(1L, (product, size) => product * size)), (long)info["parameters"]!);
        Assert.AreEqual(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(Path.Combine(TestFolder.VisionOnly, "model.safetensors")))), (string)info["sha256"]!);
    }

    [TestMethod]
    public void Info_of_a_checkpoint_that_fits_names_nothing_missing_or_unexpected()
    {
        using var folder = new TestFolder();

        string[] rows = Rows(SiglipProcess.Run(folder.Path, "info", TestFolder.VisionOnly).Succeeded());

        CollectionAssert.AreEqual((string[])
        [
            $"source: {TestFolder.VisionOnly}", "kind: vision model", "architecture: SiglipVisionModel, fixed resolution", "image: 32 x 32 pixels, 3 channels",
            "patches: 8 x 8 pixels, 16 position embeddings", "hidden size: 64, MLP 128", "layers: 3, 4 heads", "activation: gelu_pytorch_tanh, layer_norm_eps 1e-06",
            "pooling head: yes", "parameters: 147,328 in the vision tower, 147,328 in all of the file", "stored as: F32 (64 tensors)", "file: model.safetensors, 596,376 bytes",
            "preprocessing: bicubic resizing to 32 x 32 pixels, grey levels / 255, mean 0.5, std 0.5", "embeddings: pooled [64], mean [64], patches [16, 64]", "labels: none",
            "missing: none", "unexpected: none", "wrong shape or type: none", "not used: none",
        ], rows[..^1]);
    }

    [TestMethod]
    public void Info_of_a_checkpoint_that_does_not_fit_prints_the_table_the_tensors_and_the_error()
    {
        using var folder = new TestFolder();
        string model = folder.CopyCheckpoint("model");
        string config = Path.Combine(model, "config.json");
        File.WriteAllText(config, File.ReadAllText(config).Replace("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4", StringComparison.Ordinal)
            .Replace("\"image_size\": 32", "\"image_size\": 48", StringComparison.Ordinal).Replace("\"patch_size\": 8", "\"patch_size\": 8, \"vision_use_head\": false", StringComparison.Ordinal));

        SiglipResult result = SiglipProcess.Run(folder.Path, "info", "model");

        result.Failed("the weights do not fit the configuration. Missing (16): 'vision_model.encoder.layers.3.layer_norm1.weight'");
        string[] rows = Rows(result);
        CollectionAssert.IsSubsetOf((string[])["layers: 4, 4 heads", ": which are not the model's 48 x 48 pixels"], rows);
        int missing = Array.IndexOf(rows, "missing: vision_model.encoder.layers.3.layer_norm1.weight"), unexpected = Array.IndexOf(rows, "unexpected: vision_model.head.attention.in_proj_bias");
        Assert.AreEqual(": and 6 more", rows[missing + 10]);
        Assert.AreEqual(missing + 11, unexpected);
        Assert.AreEqual(": and 1 more", rows[unexpected + 10]);
        Assert.AreEqual("wrong shape or type: 'vision_model.embeddings.position_embedding.weight' has shape [16, 64], expected [36, 64] for image size 48", rows[unexpected + 11]);

        result = SiglipProcess.Run(folder.Path, "info", "model", "--json");
        result.Failed("the weights do not fit the configuration.");
        JsonNode json = JsonNode.Parse(result.Output)!;
        Assert.HasCount(16, json["missing"]!.AsArray());
        Assert.HasCount(11, json["unexpected"]!.AsArray());
        Assert.AreEqual("[36,64]", json["misshapen"]![0]!["expected_shape"]!.ToJsonString());
        Assert.StartsWith($"'{model}': the weights do not fit", (string)json["error"]!);
    }

    [TestMethod]
    public void Info_shows_labels_that_are_wrong_and_the_rest()
    {
        using var folder = new TestFolder();
        using (DisposeScope scope = Scope())
        {
            using var model = new SiglipForImageClassification(new SiglipVisionConfig { HiddenSize = 8, IntermediateSize = 8, NumHiddenLayers = 1, NumAttentionHeads = 1, ImageSize = 8, PatchSize = 4 }, ["a", "b"]);
            model.SavePretrained(Path.Combine(folder.Path, "model"));
        }

        string config = Path.Combine(folder.Path, "model", "config.json"), json = File.ReadAllText(config);
        CollectionAssert.IsSubsetOf((string[])["kind: image classification model", "architecture: SiglipForImageClassification, fixed resolution", "labels: a, b"],
            Rows(SiglipProcess.Run(folder.Path, "info", "model").Succeeded()));

        File.WriteAllText(config, json.Replace("\"1\": \"b\"", "\"7\": \"b\"", StringComparison.Ordinal));
        SiglipResult result = SiglipProcess.Run(folder.Path, "info", "model");
        result.Failed("'id2label' has \"7\": \"b\"");
        CollectionAssert.IsSubsetOf((string[])["labels: not readable", "missing: none"], Rows(result));

        File.WriteAllText(config, json.Replace("\"1\": \"b\"", "\"1\": \"b\", \"2\": \"c\"", StringComparison.Ordinal));
        result = SiglipProcess.Run(folder.Path, "info", "model");
        result.Failed("Tensor 'classifier.weight' has shape [2, 8], expected [3, 8].");
        CollectionAssert.Contains(Rows(result), "wrong shape or type: 'classifier.weight' has shape [2, 8], expected [3, 8]");
    }

    [TestMethod]
    public void Info_counts_the_stored_types_and_the_files_and_what_is_not_used()
    {
        using var folder = new TestFolder();
        string model = folder.CopyCheckpoint("model"), weights = Path.Combine(model, "model.safetensors");
        using (DisposeScope scope = Scope())
        {
            (string, Tensor)[] tensors;
            using (SafetensorsFile file = SafetensorsFile.Open(weights))
                tensors = [.. file.Tensors.Keys.Select(name => (name, name.EndsWith("bias", StringComparison.Ordinal) ? file.Read(name) : file.Read(name).to(bfloat16)))];
            SafetensorsFile.Write(weights, [.. tensors, ("text_model.final_layer_norm.bias", ones(1)), ("logit_scale\u001b[2J", ones(1)), ("logit_scale", ones(1)),
                ("vision_model.embeddings.position_ids", arange(16, dtype: int64))]);
        }

        SiglipResult result = SiglipProcess.Run(folder.Path, "info", "model");

        result.Failed("Unexpected (1): 'logit_scale\uFFFD[2J'.");
        string[] rows = Rows(result);
        Assert.DoesNotContain("\u001b", result.Output);
        CollectionAssert.IsSubsetOf((string[])
        [
            "kind: full SigLIP model with a text tower, which is not used", "architecture: SiglipModel, fixed resolution", "stored as: BF16 (33 tensors), F32 (32 tensors)",
            "not used: 1 tensor of the text tower, vision_model.embeddings.position_ids, logit_scale", "unexpected: logit_scale\uFFFD[2J",
        ], rows, string.Join('\n', rows));
    }

    [TestMethod]
    public void Info_of_a_known_checkpoint_that_is_not_here_shows_its_architecture()
    {
        using var folder = new TestFolder();

        string[] rows = Rows(SiglipProcess.Run(folder.Path, "info", "google/siglip2-so400m-patch16-naflex").Succeeded());
        CollectionAssert.IsSubsetOf((string[])
        [
            "checkpoint: google/siglip2-so400m-patch16-naflex", "weights: not here; to fetch them: siglip download google/siglip2-so400m-patch16-naflex",
            "architecture: Siglip2VisionModel, variable resolution (NaFlex)", "image: any size, 3 channels", "parameters: 427,888,064 in the vision tower",
            "preprocessing: bilinear resizing to at most 256 patches of 16 x 16 pixels, grey levels / 255, mean 0.5, std 0.5",
            "embeddings: pooled [1152], mean [1152], patches [256, 1152] at most",
        ], rows, string.Join('\n', rows));

        folder.CopyCheckpoint("google/siglip2-so400m-patch16-naflex"); // a folder of that name goes first
        CollectionAssert.Contains(Rows(SiglipProcess.Run(folder.Path, "info", "google/siglip2-so400m-patch16-naflex").Succeeded()), "kind: vision model");
    }

    [TestMethod]
    public void Info_lists_the_known_checkpoints()
    {
        using var folder = new TestFolder();

        string[] lines = SiglipProcess.Run(folder.Path, "info", "--variants").Succeeded().Output.TrimEnd().Split('\n');
        Assert.HasCount(28, lines);
        Assert.IsLessThanOrEqualTo(100, lines.Max(line => line.Length));
        Assert.MatchesRegex(@"^google/siglip2-so400m-patch14-384 +384 +14 +1152 +27 +16 +428\.2 M +\[1152\]$", lines.Single(line => line.StartsWith("google/siglip2-so400m-patch14-384", StringComparison.Ordinal)));

        JsonNode json = JsonNode.Parse(SiglipProcess.Run(folder.Path, "info", "--variants", "--json").Succeeded().Output)!;
        Assert.HasCount(27, json.AsArray());
        Assert.AreEqual(92_884_224, (long)json[0]!["parameters"]!);
        Assert.AreEqual("[196,768]", json[0]!["embeddings"]!["patches"]!.ToJsonString());

        Assert.AreEqual(2, SiglipProcess.Run(folder.Path, "info").ExitCode);
        Assert.AreEqual(2, SiglipProcess.Run(folder.Path, "info", "nano", "--variants").ExitCode);
    }

    [TestMethod]
    public void Finetune_takes_the_architecture_of_a_known_checkpoint()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 1);

        SiglipVariant variant = SiglipVariants.Find("google/siglip2-base-patch32-256");
        Assert.AreEqual(((SiglipVisionConfig)variant.Config, (SiglipImageProcessorConfig)variant.ProcessorConfig), FinetuneVerb.ReadArchitecture(variant.HubId));
        SiglipProcess.Run(folder.Path, "finetune", images, "--config", "google/siglip2-base-patch16-naflex", "--output", "other").Failed("has variable resolution (NaFlex), which is not trained here");
        SiglipProcess.Run(folder.Path, "finetune", images, "--config", "google/siglip-base-patch16-225", "--output", "other")
            .Failed("The configuration 'google/siglip-base-patch16-225' does not exist; name a config.json, or a known checkpoint such as google/siglip-base-patch16-224,");
        SiglipProcess.Run(folder.Path, "finetune", images, "--model", TestFolder.NaFlex, "--output", "other", "--validation-share", "0").Failed("cannot be fine-tuned yet; train a classifier on its embeddings instead: siglip train");
    }

    [TestMethod]
    public void Finetune_trains_from_a_config_and_writes_a_checkpoint_that_transformers_can_read()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 10);
        File.WriteAllText(Path.Combine(folder.Path, "config.json"),
            """{ "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8 }""");

        SiglipResult result = SiglipProcess.Run(folder.Path, "finetune", images, "--config", "config.json", "--output", "out", "--epochs", "2", "--dtype", "float16").Succeeded();

        Assert.Contains("Accuracy on 2 held-out images:", result.Output);
        CollectionAssert.AreEqual((string[])["config.json", "confusion.csv", "curves.png", "metrics.csv", "metrics.jsonl", "model.safetensors", "preprocessor_config.json"], folder.Entries("out"));
        SiglipProcess.Run(folder.Path, "finetune", images, "--config", "config.json", "--output", "out").Failed("already holds a checkpoint");
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(Path.Combine(folder.Path, "out"));
        Assert.AreEqual(ScalarType.Float16, checkpoint.StoredDtype);
        CollectionAssert.AreEqual((string[])["frog", "ship"], checkpoint.Labels!.ToArray());
        JsonNode config = JsonNode.Parse(File.ReadAllText(Path.Combine(folder.Path, "out", "config.json")))!;
        Assert.AreEqual("SiglipForImageClassification", (string)config["architectures"]![0]!);
        Assert.AreEqual(16, (int)config["vision_config"]!["hidden_size"]!);
    }

    [TestMethod]
    public void Finetune_takes_a_folder_that_is_divided_into_train_and_val()
    {
        using var folder = new TestFolder();
        folder.WriteImages("images/train", perClass: 1);
        string validation = folder.WriteImages("images/val", perClass: 3);

        SiglipResult result = SiglipProcess.Run(folder.Path, "finetune", "images", "--model", "nano", "--output", "out", "--epochs", "1").Succeeded();

        Assert.Contains("Accuracy on 6 held-out images:", result.Output);
        SiglipProcess.Run(folder.Path, "train", "images", "--output", "model.zip").Failed("The folder 'images' is divided into train, val, expected class folders; name one of its parts.");
        Directory.Move(Path.Combine(validation, "frog"), Path.Combine(validation, "toad"));
        SiglipProcess.Run(folder.Path, "finetune", "images", "--model", "nano", "--output", "other").Failed("differ: 'frog' is only in the former, 'toad' is only in the latter");
        SiglipProcess.Run(folder.Path, "finetune", Path.Combine("images", "train"), "--validation", Path.Combine("images", "val"), "--model", "nano", "--output", "other")
            .Failed("differ: 'frog' is only in the former, 'toad' is only in the latter");
    }

    [TestMethod]
    public void Finetune_refuses_a_folder_that_would_hide_its_preprocessing_before_it_trains()
    {
        using var folder = new TestFolder();
        string other = Path.Combine(Directory.CreateDirectory(Path.Combine(folder.Path, "out")).FullName, "processor_config.json");
        File.WriteAllText(other, """{ "image_processor": { "resample": 2 } }""");
        SiglipProcess.Run(folder.Path, "finetune", "no-such-images", "--model", "nano", "--output", "out", "--overwrite")
            .Failed($"The folder has a '{Path.Combine("out", "processor_config.json")}', which is read in place of the preprocessor_config.json");

        File.WriteAllText(other, """{ "processor_class": "SiglipProcessor" }"""); // of earlier versions, which hides nothing
        SiglipProcess.Run(folder.Path, "finetune", "no-such-images", "--model", "nano", "--output", "out", "--overwrite").Failed("no-such-images");
    }

    [TestMethod]
    public void Finetune_goes_on_from_a_checkpoint_and_its_result_predicts()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 10);

        SiglipProcess.Run(folder.Path, "finetune", images, "--model", "nano", "--output", "out", "--epochs", "4", "--batch-size", "4", "--learning-rate", "3e-4", "--validation-share", "0").Succeeded();

        JsonNode predicted = JsonNode.Parse(SiglipProcess.Run(folder.Path, "predict", "out", images, "--json").Succeeded().Output)!;
        Assert.IsGreaterThanOrEqualTo(18, predicted.AsArray().Count(row => ((string)row!["image"]!).Contains($"{Path.DirectorySeparatorChar}{(string)row["label"]!}{Path.DirectorySeparatorChar}", StringComparison.Ordinal)),
            "of 20 images that it was trained on");
        JsonNode evaluated = JsonNode.Parse(SiglipProcess.Run(folder.Path, "evaluate", "out", images, "--json").Succeeded().Output)!;
        Assert.AreEqual(20, (int)evaluated["images"]!);
        Assert.AreEqual(2, SiglipProcess.Run(folder.Path, "finetune", images, "--output", "out").ExitCode, "neither --config nor --model");
    }

    [TestMethod]
    public void The_bundled_model_is_as_good_as_its_card_says()
    {
        using var folder = new TestFolder();

        JsonNode evaluated = JsonNode.Parse(SiglipProcess.Run(folder.Path, "evaluate", "nano", TestFolder.Samples, "--json").Succeeded().Output)!;

        // 81 % on all 5,000 kept-out images; on these 200 of them the standard error is 2.8 points.
        Assert.AreEqual(0.813, (double)evaluated["accuracy"]!, 0.085);
    }

    [TestMethod]
    public void Predict_takes_the_bundled_model_at_once_and_refuses_one_without_a_classifier()
    {
        using var folder = new TestFolder();

        SiglipResult predicted = SiglipProcess.Run(folder.Path, "predict", "nano", TestFolder.NewSamples).Succeeded();
        Assert.HasCount(51, predicted.Output.TrimEnd().Split('\n'));

        SiglipProcess.Run(folder.Path, "predict", TestFolder.VisionOnly, TestFolder.NewSamples).Failed("has no classifier; train one on its embeddings: siglip train FOLDER --model");
    }

    // The rows of a table as "heading: value"; where a heading has several values, the others have none.
    private static string[] Rows(SiglipResult result)
    {
        string[] lines = result.Output.TrimEnd().Split('\n');
        int width = lines[0].IndexOf(lines[0].Split("  ", 2)[1].TrimStart(), StringComparison.Ordinal);
        return [.. lines.Select(line => $"{line[..width].TrimEnd()}: {line[width..]}")];
    }

    private static float Difference(Tensor expected, Tensor actual)
    {
        float largest = (expected - actual).abs().max().item<float>();
        return float.IsNaN(largest) ? float.PositiveInfinity : largest;
    }

    private static DisposeScope Scope()
    {
        TorchNative.Ensure();
        return NewDisposeScope();
    }
}
