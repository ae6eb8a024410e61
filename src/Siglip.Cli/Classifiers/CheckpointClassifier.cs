using Siglip.Core;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Cli;

/// <summary>A checkpoint with a classifier of its own: what <c>siglip finetune</c> writes.</summary>
internal sealed class CheckpointClassifier : IImageClassifier
{
    private const int BatchSize = 16;

    private readonly SiglipForImageClassification _model;
    private readonly SiglipImageProcessor _processor;
    private readonly Device _device;
    private readonly CheckpointSettings _settings;

    private CheckpointClassifier(SiglipForImageClassification model, SiglipImageProcessor processor, Device device, CheckpointSettings settings) =>
        (_model, _processor, _device, _settings) = (model, processor, device, settings);

    /// <inheritdoc/>
    public IReadOnlyList<string> Labels => _model.Labels;

    public static CheckpointClassifier Load(string model, string deviceName, CheckpointSettings settings, CancellationToken cancellationToken)
    {
        Device device = TorchDevice.Find(deviceName);
        SiglipPrecision precision = settings.Precision ?? SiglipPrecision.Float32;
        precision.CheckDevice(device);
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(NamedModel.Fetch(model, settings.Revision, cancellationToken));
        if (!checkpoint.Tensors.ContainsKey("classifier.weight"))
            throw new InvalidOperationException($"'{checkpoint.Source}' has no classifier; train one on its embeddings: "
                + CommandText.Of("train", "FOLDER", "--model", model, "--output", "model.zip"));
        if ((checkpoint.Config, checkpoint.ProcessorConfig) is not (SiglipVisionConfig config, SiglipImageProcessorConfig processorConfig))
            throw new InvalidOperationException($"'{checkpoint.Source}' is a model with variable resolution (NaFlex), whose classifiers are not supported; "
                + $"train one on its embeddings: {CommandText.Of("train", "FOLDER", "--model", model, "--output", "model.zip")}");
        settings.CheckFit(config);
        RunDetails.Of(checkpoint);
        SiglipImageEmbedderOptions options = settings.ToEmbedderOptions();
        processorConfig = FixedResolutionTower.Adapt(processorConfig, config, options); // before the weights are read
        SiglipForImageClassification loaded = checkpoint.LoadForImageClassification(precision, inferenceOn: device);
        RunDetails.OfComputation(deviceName, precision, BatchSize);
        return new CheckpointClassifier(loaded, new SiglipImageProcessor(processorConfig, options.ImageBackend), device, settings);
    }

    /// <inheritdoc/>
    public IEnumerable<(string? Label, float[] Probabilities, string? Fault)> Classify(IReadOnlyList<string> paths) =>
        Classify(paths.Count, i => RgbImage.Load(paths[i], _settings.ApplyExifOrientation), i => $"'{paths[i]}'");

    /// <summary>Classifies images that need not be files.</summary>
    public IEnumerable<(string? Label, float[] Probabilities, string? Fault)> Classify(ILabeledImages images) =>
        Classify(images.Count, images.Load, images.NameOf);

    private IEnumerable<(string? Label, float[] Probabilities, string? Fault)> Classify(int count, Func<int, RgbImage> load, Func<int, string> nameOf)
    {
        foreach (int[] batch in Enumerable.Range(0, count).Chunk(BatchSize))
        {
            float[] pixelValues = new float[batch.Length * _processor.PixelValueCount];
            var faults = new string?[batch.Length];
            ParallelLoop.For(batch.Length, i => faults[i] = Read(
                () => load(batch[i]), () => nameOf(batch[i]), pixelValues.AsSpan(i * _processor.PixelValueCount, _processor.PixelValueCount)));

            float[] probabilities = Probabilities(pixelValues, batch.Length); // [batch, labels]
            for (int i = 0; i < batch.Length; i++)
            {
                float[] row = probabilities[(i * Labels.Count)..((i + 1) * Labels.Count)];
                yield return (faults[i] is null ? Labels[Array.IndexOf(row, row.Max())] : null, row, faults[i]);
            }
        }
    }

    public void Dispose() => _model.Dispose();

    private float[] Probabilities(float[] pixelValues, int count)
    {
        using var noGradients = inference_mode();
        using DisposeScope scope = NewDisposeScope();
        Tensor pixels = tensor(pixelValues, [count, 3, _processor.Config.Height, _processor.Config.Width]).to(_device);
        return _model.Forward(pixels, _settings.InterpolatePositionEncoding).to(float32).softmax(-1).cpu().data<float>().ToArray(); // [batch, labels]
    }

    // Null, or why there are no pixel values.
    private string? Read(Func<RgbImage> load, Func<string> name, Span<float> pixelValues)
    {
        try
        {
            _processor.Preprocess(load(), pixelValues);
            return null;
        }
        catch (ArgumentException e)
        {
            return UnfitImage.Named(name(), e).Message;
        }
        catch (Exception e) when (e is IOException or InvalidDataException or UnauthorizedAccessException)
        {
            return e.Message;
        }
    }
}
