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
            .Failed("pixelValues has shape [4, 22, 192], expected [batch, 3, 32, 32]");
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
    public void A_checkpoints_classifier_takes_another_size_precision_and_orientation()
    {
        using var folder = new TestFolder();

        float[] found = [.. JsonNode.Parse(SiglipProcess.Run(folder.Path, "predict", TestFolder.Classifier, TestFolder.TurnedPhoto, "--image-size", "40x64", "--interpolate-pos-encoding",
            "--apply-exif-orientation", "--json").Succeeded().Output)![0]!["probabilities"]!.AsObject().Select(pair => (float)pair.Value!)];

        using DisposeScope scope = Scope();
        using SiglipForImageClassification model = SiglipForImageClassification.FromPretrained(TestFolder.Classifier);
        var processor = new SiglipImageProcessor(new SiglipImageProcessorConfig { Height = 40, Width = 64 });
        Tensor pixels = tensor(processor.Preprocess(RgbImage.Load(TestFolder.TurnedPhoto, applyExifOrientation: true)), [1, 3, 40, 64]);
        float[] expected = model.Forward(pixels, interpolatePositionEncoding: true).softmax(-1).data<float>().ToArray();
        Assert.HasCount(5, found);
        for (int i = 0; i < 5; i++)
            Assert.AreEqual(expected[i], found[i], 1e-6);

        JsonNode evaluated = JsonNode.Parse(SiglipProcess.Run(folder.Path, "evaluate", "nano", TestFolder.NewSamples, "--precision", "bfloat16", "--json").Succeeded().Output)!;
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
    public void Finetune_trains_from_a_config_and_writes_a_checkpoint_that_transformers_can_read()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 10);
        File.WriteAllText(Path.Combine(folder.Path, "config.json"),
            """{ "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8 }""");

        SiglipResult result = SiglipProcess.Run(folder.Path, "finetune", images, "--config", "config.json", "--output", "out", "--epochs", "2", "--dtype", "float16").Succeeded();

        Assert.Contains("Accuracy on 2 held-out images:", result.Output);
        CollectionAssert.AreEqual((string[])["config.json", "model.safetensors", "preprocessor_config.json"], folder.Entries("out"));
        SiglipProcess.Run(folder.Path, "finetune", images, "--config", "config.json", "--output", "out").Failed("already holds a checkpoint");
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(Path.Combine(folder.Path, "out"));
        Assert.AreEqual(ScalarType.Float16, checkpoint.StoredDtype);
        CollectionAssert.AreEqual((string[])["frog", "ship"], checkpoint.Labels!.ToArray());
        JsonNode config = JsonNode.Parse(File.ReadAllText(Path.Combine(folder.Path, "out", "config.json")))!;
        Assert.AreEqual("SiglipForImageClassification", (string)config["architectures"]![0]!);
        Assert.AreEqual(16, (int)config["vision_config"]!["hidden_size"]!);
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

        // 66 % on all 5,000 kept-out images; on these 200 of them the standard error is 3.3 points.
        Assert.AreEqual(0.66, (double)evaluated["accuracy"]!, 0.1);
    }

    [TestMethod]
    public void Predict_takes_the_bundled_model_at_once_and_refuses_one_without_a_classifier()
    {
        using var folder = new TestFolder();

        SiglipResult predicted = SiglipProcess.Run(folder.Path, "predict", "nano", TestFolder.NewSamples).Succeeded();
        Assert.HasCount(51, predicted.Output.TrimEnd().Split('\n'));

        SiglipProcess.Run(folder.Path, "predict", TestFolder.VisionOnly, TestFolder.NewSamples).Failed("has no classifier");
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
