using System.Runtime.InteropServices;
using Siglip.Core;
using Siglip.Core.Tests;

namespace Siglip.Bench;

/// <summary>A folder with one model and one batch for all peers: a checkpoint, the same in ONNX, and the pixel values as raw float32.</summary>
internal sealed class PeerModel : IDisposable
{
    /// <summary>The model in ONNX, in float32, and with dynamic quantization to int8.</summary>
    public const string OnnxFile = "model.onnx", OnnxInt8File = "model.int8.onnx";

    private const string PixelValuesFile = "pixel_values.bin";

    private PeerModel(string folder, SiglipVisionConfig config) => (Folder, Config) = (folder, config);

    public string Folder { get; }

    public SiglipVisionConfig Config { get; }

    /// <summary>GFLOP of one image.</summary>
    public double Gflop => 1e-9 * Arithmetic.Operations(Config, Config.ImageSize);

    /// <summary>The bundled model in float32.</summary>
    /// <param name="images">In the batch for peers; 0 if there are none, then there is the checkpoint only.</param>
    public static PeerModel OfNano(int images = 0)
    {
        using SiglipCheckpoint nano = SiglipCheckpoint.Open("nano");
        using SiglipVisionModel model = nano.LoadVisionModel(SiglipPrecision.Float32);
        return Write(model, (SiglipImageProcessorConfig)nano.ProcessorConfig, images);
    }

    /// <summary>A model of any size, whose weights follow from a formula.</summary>
    /// <param name="config">The sizes.</param>
    /// <param name="images">In the batch for peers; 0 if there are none, then there is the checkpoint only.</param>
    public static PeerModel OfFormula(SiglipVisionConfig config, int images = 0)
    {
        using SiglipVisionModel model = FormulaWeights.CreateModel(config);
        return Write(model, new SiglipImageProcessorConfig { Height = config.ImageSize, Width = config.ImageSize }, images);
    }

    public static SiglipVisionConfig ReadConfig(string folder) => SiglipVisionConfig.FromJson(File.ReadAllText(Path.Combine(folder, "config.json")));

    /// <summary>An image of the batch, in the model's size.</summary>
    public static RgbImage Image(SiglipVisionConfig config, int index)
    {
        var pixels = new byte[config.ImageSize * config.ImageSize * 3];
        new Random(index).NextBytes(pixels);
        return new RgbImage(config.ImageSize, config.ImageSize, pixels);
    }

    /// <summary>The pixel values of the first images.</summary>
    /// <returns>[batch, channels, height, width], row-major.</returns>
    public static float[] ReadPixelValues(string folder, int batch, SiglipVisionConfig config)
    {
        var values = new float[batch * config.NumChannels * config.ImageSize * config.ImageSize];
        using FileStream stream = File.OpenRead(Path.Combine(folder, PixelValuesFile));
        stream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    private static PeerModel Write(SiglipVisionModel model, SiglipImageProcessorConfig processor, int images)
    {
        string folder = Directory.CreateTempSubdirectory("siglip-bench-").FullName;
        model.SavePretrained(folder, processor);
        var written = new PeerModel(folder, model.Config);
        if (images == 0)
            return written;
        model.ExportOnnx(Path.Combine(folder, OnnxFile));
        model.ExportOnnx(Path.Combine(folder, OnnxInt8File), new SiglipOnnxOptions { Precision = SiglipPrecision.Int8 });
        var preprocessing = new SiglipImageProcessor(processor);
        using FileStream stream = File.Create(Path.Combine(folder, PixelValuesFile));
        for (int i = 0; i < images; i++)
            stream.Write(MemoryMarshal.AsBytes<float>(preprocessing.Preprocess(Image(model.Config, i))));
        return written;
    }
}
