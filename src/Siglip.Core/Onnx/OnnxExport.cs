using System.Globalization;
using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace Siglip.Core.Onnx;

/// <summary>What exporting has in common for all models.</summary>
internal static class OnnxExport
{
    public const int OperatorSet = 20; // the first with Gelu: ONNX Runtime 1.17, the beginning of 2024
    private const int IrVersion = 9; // that of this operator set

    /// <param name="model">The model.</param>
    /// <param name="path">The .onnx file.</param>
    /// <param name="options">Null for the defaults.</param>
    /// <param name="cancellationToken">Ends the writing.</param>
    /// <returns>What was written.</returns>
    public static ExportedOnnx Write(SiglipVisionModel model, string path, SiglipOnnxOptions? options, CancellationToken cancellationToken)
    {
        options = Checked(path, options);
        SiglipImageProcessorConfig processor = Sized(model.ProcessorConfig, model.Config, options);
        var vision = new VisionGraph(model.Config, WeightsOf(model, model.Config), options.Precision);
        vision.Pool(attentionBias: null, FixedResolutionGraph.Encode(vision, model.Config, processor.Height, processor.Width));
        return Write(path, vision, processor, labels: null, options, cancellationToken);
    }

    /// <inheritdoc cref="Write(SiglipVisionModel, string, SiglipOnnxOptions?, CancellationToken)"/>
    public static ExportedOnnx Write(SiglipForImageClassification model, string path, SiglipOnnxOptions? options, CancellationToken cancellationToken)
    {
        options = Checked(path, options);
        SiglipImageProcessorConfig processor = Sized(model.ProcessorConfig, model.Config, options);
        var vision = new VisionGraph(model.Config, WeightsOf(model, model.Config), options.Precision);
        FixedResolutionGraph.Encode(vision, model.Config, processor.Height, processor.Width);
        vision.Classify(model.Labels.Count);
        return Write(path, vision, processor, model.Labels, options, cancellationToken);
    }

    /// <inheritdoc cref="Write(SiglipVisionModel, string, SiglipOnnxOptions?, CancellationToken)"/>
    public static ExportedOnnx Write(Siglip2VisionModel model, string path, SiglipOnnxOptions? options, CancellationToken cancellationToken)
    {
        options = Checked(path, options);
        if ((options.ImageHeight ?? options.ImageWidth) is not null)
            throw new ArgumentException("ImageHeight and ImageWidth ask for one size of all images, but the model has variable resolution (NaFlex) and takes images of any "
                + "shape; leave that out.");
        Siglip2ImageProcessorConfig processor = model.ProcessorConfig ?? new Siglip2ImageProcessorConfig { PatchSize = model.Config.PatchSize };
        var vision = new VisionGraph(model.Config, WeightsOf(model, model.Config), options.Precision);
        vision.Pool(VariableResolutionGraph.Encode(vision, model.Config), VariableResolutionGraph.Patches);
        return Write(path, vision, processor, labels: null, options, cancellationToken);
    }

    private static SiglipOnnxOptions Checked(string path, SiglipOnnxOptions? options)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        options ??= new SiglipOnnxOptions();
        if (options.Precision is not (SiglipPrecision.Float32 or SiglipPrecision.Int8))
            throw new ArgumentException($"Precision is {options.Precision}, expected Float32 or Int8.");
        return options;
    }

    private static Dictionary<string, Tensor> WeightsOf(nn.Module model, SiglipVisionConfigBase config)
    {
        Dictionary<string, Tensor> weights = model.state_dict();
        return ExpectedTensors.OfVisionModel(config).All(tensor => weights.ContainsKey(ExpectedTensors.Prefix + tensor.Name))
            ? weights
            : throw new InvalidOperationException("The model's weights are packed, because an embedder computes with it in Int8; load it once more to export it.");
    }

    // The preprocessing for the images of the graph.
    private static SiglipImageProcessorConfig Sized(SiglipImageProcessorConfig? ofModel, SiglipVisionConfig config, SiglipOnnxOptions options)
    {
        SiglipImageProcessorConfig processor = PretrainedFolder.Fitting(ofModel, config);
        processor = processor with { Height = options.ImageHeight ?? processor.Height, Width = options.ImageWidth ?? processor.Width };
        if (processor.Fault is { } fault)
            throw new ArgumentException($"ImageHeight and ImageWidth: {fault}");
        if (Math.Min(processor.Height, processor.Width) < config.PatchSize)
            throw new ArgumentException($"ImageHeight and ImageWidth ask for images of {processor.Height} x {processor.Width} pixels (height x width), smaller than "
                + $"the model's patches of {config.PatchSize} x {config.PatchSize}; make them larger.");
        return processor;
    }

    private static ExportedOnnx Write(
        string path, VisionGraph vision, SiglipImageProcessorConfigBase processor, IReadOnlyList<string>? labels, SiglipOnnxOptions options, CancellationToken cancellationToken)
    {
        var model = new ModelProto
        {
            IrVersion = IrVersion,
            ProducerName = "Siglip.MLNet",
            ProducerVersion = typeof(OnnxExport).Assembly.GetName().Version!.ToString(3),
            DocString = Describe(processor),
            OpsetImport = { new OperatorSetIdProto { Domain = "", Version = OperatorSet } },
            MetadataProps = { new StringStringEntryProto { Key = SiglipCheckpoint.PreprocessorName, Value = processor.ToJson() } },
        };
        if (labels is not null)
        {
            var names = new JsonObject(labels.Select((label, i) => KeyValuePair.Create(i.ToString(CultureInfo.InvariantCulture), (JsonNode?)label)));
            model.MetadataProps.Add(new StringStringEntryProto { Key = "id2label", Value = names.ToJsonString(SiglipImageProcessorConfigBase.Indented) });
        }

        return new ExportedOnnx(vision.Graph.Proto, OnnxFile.Write(path, model, vision.Graph, options.ExternalData, cancellationToken));
    }

    // For those who open the file in a viewer.
    private static string Describe(SiglipImageProcessorConfigBase processor)
    {
        string filter = processor.Resample == ImageResampling.Bicubic ? "bicubic" : "bilinear";
        string size = processor is SiglipImageProcessorConfig { Height: var height, Width: var width }
            ? $"an RGB image resized to {height} x {width} pixels (height x width; {filter}, antialiased, as by Pillow), channel by channel"
            : $"an RGB image resized ({filter}, antialiased, as by Pillow) to whole patches, patch by patch: row, column, channel";
        string levels = processor.DoRescale ? string.Create(CultureInfo.InvariantCulture, $"each level from 0 to 255 times {processor.RescaleFactor:G9}") : "levels from 0 to 255";
        string normal = processor.DoNormalize ? $", minus [{Numbers(processor.ImageMean)}], divided by [{Numbers(processor.ImageStd)}] (red, green, blue)" : "";
        return $"pixel_values: {size}; {levels}{normal}. The metadata have the same as {SiglipCheckpoint.PreprocessorName}.";
    }

    private static string Numbers(IEnumerable<float> values) => string.Join(", ", values.Select(value => value.ToString(CultureInfo.InvariantCulture)));
}
