using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>A <see cref="Siglip2VisionModel"/>: every image has its own patches, followed by padding.</summary>
internal sealed class VariableResolutionTower : VisionTower
{
    private readonly Siglip2VisionModel _model;
    private readonly Siglip2ImageProcessor _processor;

    /// <param name="model">Of a <see cref="Siglip2VisionModel"/>; owned by the new tower.</param>
    /// <param name="device">Where the model is.</param>
    /// <param name="adapted">What <see cref="Adapt"/> gives for the model.</param>
    /// <param name="options">How to work.</param>
    public VariableResolutionTower(ModelUse model, Device device, Siglip2ImageProcessorConfig adapted, SiglipImageEmbedderOptions options)
        : base(model, device)
    {
        _model = (Siglip2VisionModel)model.Model;
        _processor = new Siglip2ImageProcessor(adapted, options.ImageBackend);
    }

    public override SiglipVisionConfigBase Config => _model.Config;

    public override SiglipImageProcessorConfigBase ProcessorConfig => _processor.Config;

    public override int PixelValueCount => _processor.PixelValueCount;

    public override int PatchCount => _processor.Config.MaxNumPatches;

    public override SiglipPatchGrid PlaceholderGrid => new(1, 1);

    /// <exception cref="ArgumentException">The patches' size or channels are not the model's, or an option is for the other kind of model.</exception>
    public static Siglip2ImageProcessorConfig Adapt(Siglip2ImageProcessorConfig processorConfig, Siglip2VisionConfig model, SiglipImageEmbedderOptions options)
    {
        if ((options.ImageHeight ?? options.ImageWidth) is { } side)
            throw new ArgumentException($"ImageHeight or ImageWidth is {side}, but the model has variable resolution (NaFlex); set MaxNumPatches instead.");
        if (options.InterpolatePositionEncoding)
            throw new ArgumentException("InterpolatePositionEncoding is set, but the model has variable resolution (NaFlex) and does so in any case; leave it out.");
        Siglip2ImageProcessorConfig adapted = processorConfig with { MaxNumPatches = options.MaxNumPatches ?? processorConfig.MaxNumPatches };
        if (adapted.Fault is { } fault)
            throw new ArgumentException(options.MaxNumPatches is null ? fault : $"MaxNumPatches: {fault}");
        Siglip2ImageProcessor.CheckFit(adapted, model);
        CheckLength(adapted.MaxNumPatches, model, "MaxNumPatches");
        return adapted;
    }

    public override SiglipPatchGrid Preprocess(PixelRows image, Span<float> pixelValues) => _processor.Preprocess(image, pixelValues);

    public override (int Width, int Height)? SizeFor(int width, int height)
    {
        if (!_processor.Config.DoResize)
            return null;
        SiglipPatchGrid grid = _processor.GetPatchGrid(height, width);
        return (grid.Columns * _processor.Config.PatchSize, grid.Rows * _processor.Config.PatchSize);
    }

    public override (Tensor Patches, Tensor? Pooled, Tensor? Mean) Forward(
        Tensor pixelValues, ReadOnlySpan<SiglipPatchGrid> grids, SiglipEmbeddingOutputs outputs)
    {
        Tensor patches = pixelValues.reshape(grids.Length, PatchCount, -1); // [batch, patches, values]
        Tensor mask = MaskOf(grids).to(Device); // [batch, patches]
        Tensor last;
        Tensor? pooled = null;
        using Tensor shapes = ShapesOf(grids); // [batch, 2]
        if (outputs.HasFlag(SiglipEmbeddingOutputs.PooledEmbedding))
        {
            SiglipVisionOutput output = _model.Forward(patches, mask, shapes, new SiglipForwardOptions());
            (last, pooled) = (output.LastHiddenState, output.PoolerOutput);
        }
        else
        {
            last = _model.call(patches, mask, shapes);
        }

        last = last.masked_fill(mask.logical_not().unsqueeze(-1), 0); // what the model says of padding has no meaning
        Tensor? mean = null;
        if (outputs.HasFlag(SiglipEmbeddingOutputs.MeanPatchEmbedding))
            mean = last.sum(1, type: float32) / mask.sum(1, keepdim: true, type: float32); // [batch, hidden]
        return (last, pooled, mean);
    }

    public override SiglipVisionOutput Forward(Tensor pixelValues, SiglipPatchGrid grid, SiglipForwardOptions options)
    {
        Tensor patches = pixelValues.reshape(1, PatchCount, -1)[.., ..grid.Count]; // [batch, patches, values]
        using Tensor mask = ones(1, grid.Count, @bool, Device), shapes = ShapesOf([grid]); // [batch, patches], [batch, 2]
        return _model.Forward(patches, mask, shapes, options);
    }

    public override RgbImage Resize(PixelRows image) => _processor.Resize(image, out _);

    public override SiglipMultiheadAttentionPoolingHead? Head => _model.Head;

    private Tensor MaskOf(ReadOnlySpan<SiglipPatchGrid> grids)
    {
        var valid = new bool[grids.Length * PatchCount];
        for (int i = 0; i < grids.Length; i++)
            valid.AsSpan(i * PatchCount, grids[i].Count).Fill(true);
        return tensor(valid, [grids.Length, PatchCount]);
    }

    private static Tensor ShapesOf(ReadOnlySpan<SiglipPatchGrid> grids)
    {
        var sides = new long[grids.Length * 2];
        for (int i = 0; i < grids.Length; i++)
            (sides[2 * i], sides[(2 * i) + 1]) = (grids[i].Rows, grids[i].Columns);
        return tensor(sides, [grids.Length, 2]);
    }
}
