using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms.Image;
using Microsoft.ML.Transforms.Onnx;
using Siglip.Core;

namespace Siglip.Bench;

/// <summary>ML.NET's stock pipeline with an exported model: LoadImages, ResizeImages, ExtractPixels, ApplyOnnxModel.</summary>
/// <remarks>Its pixels are not those of the model's own preprocessing: ML.NET resizes otherwise.</remarks>
internal sealed class ApplyOnnxPeer : IDisposable
{
    /// <summary>The model's input.</summary>
    public const string Pixels = "pixel_values";

    private readonly MLContext _context = new();
    private readonly string _output;
    private readonly TransformerChain<OnnxTransformer> _pipeline;

    /// <param name="path">The .onnx file.</param>
    /// <param name="processor">Size, mean and standard deviation of the model's images; one mean and one deviation for all channels, as ExtractPixels takes them.</param>
    /// <param name="output">The column to read.</param>
    /// <param name="threads">That one operator uses; 0 leaves it to ONNX Runtime.</param>
    public ApplyOnnxPeer(string path, SiglipImageProcessorConfig processor, string output = "pooler_output", int threads = 0)
    {
        _output = output;
        float levels = (float)(1 / processor.RescaleFactor);
        EstimatorChain<OnnxTransformer> estimator = _context.Transforms.LoadImages("image", imageFolder: null, nameof(Photo.Path))
            .Append(_context.Transforms.ResizeImages("image", processor.Width, processor.Height, resizing: ImageResizingEstimator.ResizingKind.Fill))
            .Append(_context.Transforms.ExtractPixels(
                Pixels, "image", offsetImage: processor.ImageMean[0] * levels, scaleImage: 1 / (processor.ImageStd[0] * levels)))
            .Append(_context.Transforms.ApplyOnnxModel(Options(path, processor.Height, processor.Width, output, threads)));
        _pipeline = estimator.Fit(_context.Data.LoadFromEnumerable<Photo>([]));
    }

    /// <summary>The step of ML.NET that runs the model, for one image at a time.</summary>
    public static OnnxOptions Options(string path, int height, int width, string output, int threads) => new()
    {
        ModelFile = path,
        InputColumns = [Pixels],
        OutputColumns = [output],
        IntraOpNumThreads = threads == 0 ? null : threads,
        ShapeDictionary = new Dictionary<string, int[]> { [Pixels] = [1, 3, height, width] },
    };

    /// <summary>Embeds image files, one after the other.</summary>
    /// <returns>The output of each.</returns>
    public float[][] Run(IEnumerable<string> files)
    {
        IDataView images = _context.Data.LoadFromEnumerable(files.Select(file => new Photo { Path = file }));
        return [.. _pipeline.Transform(images).GetColumn<float[]>(_output)];
    }

    public void Dispose() => _pipeline.Dispose();

    private sealed class Photo
    {
        public string Path { get; set; } = "";
    }
}
