using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>A <see cref="SiglipVisionModel"/>: all images have the same size.</summary>
internal sealed class FixedResolutionTower : VisionTower
{
    private readonly SiglipVisionModel _model;
    private readonly SiglipImageProcessor _processor;
    private readonly SiglipPatchGrid _grid;
    private readonly bool _interpolates;

    /// <param name="model">Of a <see cref="SiglipVisionModel"/>; owned by the new tower.</param>
    /// <param name="device">Where the model is.</param>
    /// <param name="adapted">What <see cref="Adapt"/> gives for the model.</param>
    /// <param name="options">How to work.</param>
    public FixedResolutionTower(ModelUse model, Device device, SiglipImageProcessorConfig adapted, SiglipImageEmbedderOptions options)
        : base(model, device)
    {
        _model = (SiglipVisionModel)model.Model;
        _processor = new SiglipImageProcessor(adapted, options.ImageBackend);
        _grid = new SiglipPatchGrid(adapted.Height / _model.Config.PatchSize, adapted.Width / _model.Config.PatchSize);
        _interpolates = options.InterpolatePositionEncoding;
    }

    public override SiglipVisionConfigBase Config => _model.Config;

    public override SiglipImageProcessorConfigBase ProcessorConfig => _processor.Config;

    public override int PixelValueCount => _processor.PixelValueCount;

    public override int PatchCount => _grid.Count;

    public override SiglipPatchGrid PlaceholderGrid => _grid;

    /// <exception cref="ArgumentException">The images' size or channels are not the model's, or an option is for the other kind of model.</exception>
    public static SiglipImageProcessorConfig Adapt(SiglipImageProcessorConfig processorConfig, SiglipVisionConfig model, SiglipImageEmbedderOptions options)
    {
        if (options.MaxNumPatches is { } patches)
            throw new ArgumentException($"MaxNumPatches is {patches}, but the model has fixed resolution; leave it out, or use a model with variable "
                + "resolution (NaFlex).");
        SiglipImageProcessorConfig adapted = processorConfig with
        {
            Height = options.ImageHeight ?? processorConfig.Height,
            Width = options.ImageWidth ?? processorConfig.Width,
        };
        bool asked = (options.ImageHeight ?? options.ImageWidth) is not null;
        if (adapted.Fault is { } fault)
            throw new ArgumentException(asked ? $"ImageHeight and ImageWidth: {fault}" : fault);
        if (!options.InterpolatePositionEncoding && asked
            && (adapted.Height, adapted.Width) != (model.ImageSize, model.ImageSize))
            throw new ArgumentException($"ImageHeight and ImageWidth ask for images of {adapted.Height} x {adapted.Width} pixels (height x width), the model "
                + $"expects {model.ImageSize} x {model.ImageSize}. Leave them out, or set InterpolatePositionEncoding for other sizes.");
        if (asked && Math.Min(adapted.Height, adapted.Width) < model.PatchSize)
            throw new ArgumentException($"ImageHeight and ImageWidth ask for images of {adapted.Height} x {adapted.Width} pixels (height x width), smaller than "
                + $"the model's patches of {model.PatchSize} x {model.PatchSize}; make them larger.");
        SiglipImageProcessor.CheckFit(adapted, model, options.InterpolatePositionEncoding);
        CheckLength((long)(adapted.Height / model.PatchSize) * (adapted.Width / model.PatchSize), model, "ImageHeight and ImageWidth");
        return adapted;
    }

    public override SiglipPatchGrid Preprocess(PixelRows image, Span<float> pixelValues)
    {
        _processor.Preprocess(image, pixelValues);
        return _grid;
    }

    public override bool TakesLevels => true;

    public override SiglipPatchGrid PreprocessToLevels(PixelRows image, Span<byte> levels)
    {
        _processor.Resize(image).Data.CopyTo(levels);
        return _grid;
    }

    public override Tensor LookUp(Tensor levels)
    {
        Tensor table = tensor(_processor.Table.All.ToArray()).to(levels.device); // [channels * grey levels]
        Tensor first = arange(PixelValueTable.Channels, int32, levels.device) * PixelValueTable.GreyLevels; // [channels]
        Tensor indices = levels.reshape(levels.shape[0], -1, PixelValueTable.Channels).to(int32) + first; // [batch, height * width, channels]
        return table.index_select(0, indices.flatten()).reshape(indices.shape).transpose(1, 2).reshape(levels.shape); // [batch, channels * height * width]
    }

    public override (int Width, int Height)? SizeFor(int width, int height) =>
        _processor.Config.DoResize ? (_processor.Config.Width, _processor.Config.Height) : null;

    public override (Tensor Patches, Tensor? Pooled, Tensor? Mean) Forward(
        Tensor pixelValues, ReadOnlySpan<SiglipPatchGrid> grids, SiglipEmbeddingOutputs outputs)
    {
        Tensor images = pixelValues.reshape(grids.Length, -1, _processor.Config.Height, _processor.Config.Width); // [batch, channels, height, width]
        Tensor last;
        Tensor? pooled = null;
        if (outputs.HasFlag(SiglipEmbeddingOutputs.PooledEmbedding))
        {
            SiglipVisionOutput output = _model.Forward(images, new SiglipForwardOptions { InterpolatePositionEncoding = _interpolates });
            (last, pooled) = (output.LastHiddenState, output.PoolerOutput);
        }
        else
        {
            last = _model.Forward(images, _interpolates); // without the head
        }

        return (last, pooled, outputs.HasFlag(SiglipEmbeddingOutputs.MeanPatchEmbedding) ? last.mean([1], type: float32) : null);
    }

    public override SiglipVisionOutput Forward(Tensor pixelValues, SiglipPatchGrid grid, SiglipForwardOptions options) => _model.Forward(
        pixelValues.reshape(1, -1, _processor.Config.Height, _processor.Config.Width), options with { InterpolatePositionEncoding = _interpolates }); // [batch, channels, height, width]

    public override RgbImage Resize(PixelRows image) => _processor.Resize(image);

    public override SiglipMultiheadAttentionPoolingHead? Head => _model.Head;
}
