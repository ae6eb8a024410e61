using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class TorchDeviceTests
{
    [TestMethod]
    public void The_cpu_is_always_there() => Assert.AreEqual(TorchSharp.DeviceType.CPU, TorchDevice.Find("cpu").type);

    [TestMethod]
    [DataRow("")]
    [DataRow("gpu")]
    [DataRow("CPU")]
    [DataRow("cuda:")]
    [DataRow("cuda:-1")]
    [DataRow("cuda:x")]
    [DataRow("cuda:99999999999")]
    public void A_text_that_names_no_device_is_refused(string name) =>
        Assert.Contains($"The device is '{name}', expected cpu, cuda or cuda:N", Assert.ThrowsExactly<ArgumentException>(() => TorchDevice.Find(name)).Message);

    [TestMethod]
    public void Several_devices_are_separated_by_commas()
    {
        Assert.AreEqual(2, TorchDevice.FindAll("cpu,cpu").Count(device => device.type == TorchSharp.DeviceType.CPU));
        Assert.Contains("The device is 'x', expected cpu", Assert.ThrowsExactly<ArgumentException>(() => TorchDevice.FindAll("cpu,x")).Message);
    }

    [TestMethod]
    public void A_gpu_that_is_not_there_is_refused_with_the_package_to_add()
    {
        TorchNative.Ensure();
        if (cuda.is_available())
            Assert.Inconclusive("This machine has CUDA.");
        InvalidOperationException[] errors =
        [
            Assert.ThrowsExactly<InvalidOperationException>(() => TorchDevice.Find("cuda")),
            Assert.ThrowsExactly<InvalidOperationException>(() => TorchDevice.FindAll("cuda:all")),
            Assert.ThrowsExactly<InvalidOperationException>(
                () => SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"), new SiglipLoadOptions { Device = "cuda:0" })),
            Assert.ThrowsExactly<InvalidOperationException>(
                () => SiglipImageEmbedder.FromPretrained(ReferenceModels.Folder("vision_only"), new SiglipImageEmbedderOptions { Device = "cuda:0" })),
        ];
        foreach (InvalidOperationException error in errors)
            Assert.Contains("CUDA is not available. Add the package TorchSharp-cuda-linux or TorchSharp-cuda-windows", error.Message);
    }

    [TestMethod]
    [TestCategory("GPU")]
    public void A_model_on_the_gpu_gives_the_numbers_of_the_cpu()
    {
        TorchNative.Ensure();
        if (!cuda.is_available())
            Assert.Inconclusive("This machine has no CUDA.");
        Assert.Contains("GPUs, counted from 0", Assert.ThrowsExactly<ArgumentException>(() => TorchDevice.Find("cuda:1000")).Message);
        using var expected = new ExpectedOutputs("vision_only");
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"), new SiglipLoadOptions { Device = "cuda:0" });
        using Tensor pixelValues = expected.PixelValues(), reference = expected.Read("last_hidden_state");
        using Tensor onDevice = pixelValues.to(CUDA), output = model.call(onDevice), actual = output.cpu();
        Assert.IsLessThanOrEqualTo(ReferenceModels.Tolerance("vision_only", "last_hidden_state"), ReferenceModels.LargestDifference(actual, reference));
    }

    [TestMethod]
    [TestCategory("GPU")]
    [DataRow(SiglipPrecision.Float32, 1e-3)]
    [DataRow(SiglipPrecision.BFloat16, 0.05)]
    public void Embedders_on_all_gpus_give_the_embeddings_of_the_cpu(SiglipPrecision precision, double tolerance)
    {
        TorchNative.Ensure();
        if (!cuda.is_available())
            Assert.Inconclusive("This machine has no CUDA.");
        RgbImage[] images = [.. ((string[])["rgb.png", "chart.png", "rgb.png"]).Select(name => RgbImage.Load(ReferenceModels.PathOf("preprocess", "images", name)))];
        using SiglipImageEmbedder onCpu = SiglipImageEmbedder.FromPretrained("nano");
        using SiglipImageEmbedder onGpus = SiglipImageEmbedder.FromPretrained("nano", new SiglipImageEmbedderOptions { Device = "cuda:all", Precision = precision });
        float[] expected = onCpu.EmbedBatch(images, onCpu.Output).Values(onCpu.Output), actual = onGpus.EmbedBatch(images, onGpus.Output).Values(onGpus.Output);
        double length = Math.Sqrt(expected.Sum(value => (double)value * value));
        Assert.IsLessThanOrEqualTo(tolerance * length, Math.Sqrt(expected.Zip(actual, (x, y) => (double)(x - y) * (x - y)).Sum()));
    }
}
