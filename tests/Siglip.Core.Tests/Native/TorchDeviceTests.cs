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
    public void A_gpu_that_is_not_there_is_refused_with_the_package_to_add()
    {
        TorchNative.Ensure();
        if (cuda.is_available())
            Assert.Inconclusive("This machine has CUDA.");
        InvalidOperationException[] errors =
        [
            Assert.ThrowsExactly<InvalidOperationException>(() => TorchDevice.Find("cuda")),
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
}
