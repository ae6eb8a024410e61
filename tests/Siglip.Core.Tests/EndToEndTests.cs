using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>From the image file to the embedding, as transformers and Pillow compute it (PIL backend, float32).</summary>
[TestClass]
public sealed class EndToEndTests
{
    private static readonly string[] Images = [.. ((string[])["rgb.png", "palette.png", "rgba.png", "tall_5x900.png", "photo_420.jpg"])
        .Select(name => ReferenceModels.PathOf("preprocess", "images", name))];

    [TestMethod]
    [DataRow("vision_only")]
    [DataRow("sharded")]
    [DataRow("so400m_like")]
    [DataRow("full_model")]
    [DataRow("image_classification")]
    public void Image_files_give_the_embeddings_of_transformers(string model)
    {
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(ReferenceModels.Folder(model));
        SiglipImageEmbeddings embeddings = embedder.EmbedBatch(
            [.. Images.Select(path => RgbImage.Load(path))], SiglipEmbeddingOutputs.PooledEmbedding | SiglipEmbeddingOutputs.MeanPatchEmbedding);
        Check(model, "pooler_output", embeddings.PooledEmbeddings!);
        Check(model, "last_hidden_state_mean", embeddings.MeanPatchEmbeddings!);
        Check(model, "pooler_output", [.. Images.SelectMany(path => embedder.Embed(path))]);
    }

    /// <summary>The reference has no embeddings of the images that torchvision resized, but says how far each is from Pillow's.</summary>
    [TestMethod]
    [DataRow("vision_only")]
    [DataRow("sharded")]
    [DataRow("so400m_like")]
    [DataRow("full_model")]
    [DataRow("image_classification")]
    public void With_torchvision_embeddings_are_as_far_from_Pillows_as_in_transformers(string model)
    {
        double[] differences = [.. ReferenceModels.Json("end_to_end", "measured.json").GetProperty("cases").GetProperty(model)
            .GetProperty("pooler_output_max_abs_diff_if_preprocessed_by_torchvision_backend").EnumerateArray().Select(value => value.GetDouble())];
        using SafetensorsFile file = SafetensorsFile.Open(ReferenceModels.PathOf("end_to_end", "expected.safetensors"));
        using Tensor pillow = file.Read($"{model}.pooler_output");
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(
            ReferenceModels.Folder(model), new SiglipImageEmbedderOptions { ImageBackend = SiglipImageBackend.Torchvision });
        Assert.HasCount(Images.Length, differences);

        for (int i = 0; i < Images.Length; i++)
        {
            using Tensor expected = pillow[i], found = tensor(embedder.Embed(Images[i]));
            double unexplained = Math.Abs(ReferenceModels.LargestDifference(found, expected) - differences[i]); // each side within its tolerance
            ParityReport.OfThisRun.Check(ParityArea.EndToEnd, $"{model}, torchvision", "distance of pooler_output from Pillow's", unexplained, Tolerance("pooler_output"));
        }
    }

    [TestMethod]
    public void Image_files_give_the_logits_of_transformers()
    {
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(ReferenceModels.Folder("image_classification"));
        using SiglipForImageClassification model = checkpoint.LoadForImageClassification();
        var processor = new SiglipImageProcessor((SiglipImageProcessorConfig)checkpoint.ProcessorConfig);
        float[] pixels = new float[Images.Length * processor.PixelValueCount];
        for (int i = 0; i < Images.Length; i++)
            processor.Preprocess(RgbImage.Load(Images[i]), pixels.AsSpan(i * processor.PixelValueCount, processor.PixelValueCount));
        using var noGradients = inference_mode();
        using Tensor pixelValues = tensor(pixels, [Images.Length, 3, 32, 32]), logits = model.call(pixelValues);
        Check("image_classification", "logits", ReferenceModels.Values(logits));
    }

    private static void Check(string model, string output, float[] actual)
    {
        using SafetensorsFile file = SafetensorsFile.Open(ReferenceModels.PathOf("end_to_end", "expected.safetensors"));
        using Tensor expected = file.Read($"{model}.{output}"), found = tensor(actual, expected.shape);
        ParityReport.OfThisRun.Check(ParityArea.EndToEnd, model, output, ReferenceModels.LargestDifference(found, expected), Tolerance(output));
    }

    // The mean of the patch embeddings has no tolerance of its own: it is compared as the pooled embedding is.
    private static double Tolerance(string output) =>
        ReferenceModels.AreaTolerance("end_to_end", output == "logits" ? "logits after exact preprocessing" : "pooler_output after exact preprocessing");
}
