using System.Text.Json.Nodes;
using Siglip.Core;

namespace Siglip.Cli.Tests;

/// <summary>That exported files compute what the model does is tested with Siglip.Core; here they are those that it writes.</summary>
[TestClass]
public sealed class ExportOnnxTests
{
    [TestMethod]
    public void The_file_is_that_of_the_library_and_a_line_says_what_is_in_it()
    {
        using var folder = new TestFolder();
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(TestFolder.VisionOnly);
        model.ExportOnnx(PathOf(folder, "library.onnx"));
        File.WriteAllText(PathOf(folder, "model.onnx"), "old"); // is replaced, as by the other verbs

        SiglipResult result = SiglipProcess.Run(folder.Path, "export-onnx", TestFolder.VisionOnly, "--output", "model.onnx").Succeeded();

        AssertSame(folder, "library.onnx", "model.onnx");
        Assert.MatchesRegex(
            @"^model\.onnx: float32, opset 20, [\d.,]+ (bytes|MB); pixel_values \[batch, 3, 32, 32\] to last_hidden_state \[batch, 16, 64\], pooler_output \[batch, 64\]\s*$",
            result.Output);
    }

    [TestMethod]
    public void Options_do_what_those_of_the_library_do()
    {
        using var folder = new TestFolder();
        using SiglipForImageClassification model = SiglipForImageClassification.FromPretrained(TestFolder.Classifier);
        model.ExportOnnx(PathOf(folder, "library.onnx"), new SiglipOnnxOptions { Precision = SiglipPrecision.Int8, ExternalData = true, ImageHeight = 40, ImageWidth = 64 });

        SiglipResult result = SiglipProcess.Run(
            folder.Path, "export-onnx", TestFolder.Classifier, "--output", "model.onnx", "--classifier", "--precision", "int8", "--external-data", "--image-size", "40x64",
            "--interpolate-pos-encoding", "--json").Succeeded();

        AssertSame(folder, "library.onnx_data", "model.onnx_data");
        JsonNode json = JsonNode.Parse(result.Output)!;
        Assert.AreEqual("""{"pixel_values":["batch",3,40,64]}""", json["inputs"]!.ToJsonString());
        Assert.AreEqual("""{"logits":["batch",5]}""", json["outputs"]!.ToJsonString());
        Assert.AreEqual(("model.onnx", "model.onnx_data", "int8", 20), ((string)json["output"]!, (string)json["data"]!, (string)json["precision"]!, (int)json["opset"]!));
        Assert.AreEqual(new FileInfo(PathOf(folder, "model.onnx_data")).Length, (long)json["data_bytes"]!);

        SiglipResult without = SiglipProcess.Run(folder.Path, "export-onnx", TestFolder.Classifier, "--output", "model.onnx").Succeeded();
        Assert.Contains("model.onnx_data is of an earlier export and does not belong to this one", without.Errors);
    }

    [TestMethod]
    public void A_model_with_variable_resolution_is_exported()
    {
        using var folder = new TestFolder();
        SiglipResult result = SiglipProcess.Run(folder.Path, "export-onnx", TestFolder.NaFlex, "--output", "model.onnx").Succeeded();
        Assert.Contains("pixel_values [batch, patches, 192], pixel_attention_mask [batch, patches], spatial_shapes [batch, 2] to last_hidden_state [batch, patches, 32]", result.Output);
    }

    [TestMethod]
    public void What_cannot_be_exported_is_one_sentence_and_no_file()
    {
        using var folder = new TestFolder();
        Failed("has no classifier that can be exported; leave out --classifier to export its embeddings.", TestFolder.VisionOnly, "--output", "m.onnx", "--classifier");
        Failed("has no classifier that can be exported", TestFolder.NaFlex, "--output", "m.onnx", "--classifier");
        Failed("--image-size asks for one size of all images, but the model has variable resolution (NaFlex)", TestFolder.NaFlex, "--output", "m.onnx", "--image-size", "64");
        Failed("add --interpolate-pos-encoding for another size", TestFolder.VisionOnly, "--output", "m.onnx", "--image-size", "64");
        Failed("The output 'model' ends in '', expected .onnx.", TestFolder.VisionOnly, "--output", "model");
        Failed("cannot be written: the folder", TestFolder.VisionOnly, "--output", "none/m.onnx");
        Failed("does not exist", "none", "--output", "m.onnx");
        Assert.IsEmpty(folder.Entries());

        void Failed(string sentence, params string[] arguments) => SiglipProcess.Run(folder.Path, ["export-onnx", .. arguments]).Failed(sentence);
    }

    private static string PathOf(TestFolder folder, string name) => Path.Combine(folder.Path, name);

    private static void AssertSame(TestFolder folder, string expected, string actual) =>
        CollectionAssert.AreEqual(File.ReadAllBytes(PathOf(folder, expected)), File.ReadAllBytes(PathOf(folder, actual)));
}
