using System.Globalization;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>A model together with its preprocessing, and what it needs to embed batches: one for fixed, one for variable resolution.</summary>
internal abstract class VisionTower(ModelUse use, Device device) : IDisposable
{
    /// <summary>Where the model is.</summary>
    public Device Device => device;

    public abstract SiglipVisionConfigBase Config { get; }

    public abstract SiglipImageProcessorConfigBase ProcessorConfig { get; }

    /// <summary>Number of pixel values of one image in a batch.</summary>
    public abstract int PixelValueCount { get; }

    /// <summary>Number of patch embeddings of one image in a batch.</summary>
    public abstract int PatchCount { get; }

    /// <summary>The patches of an image that takes part in a batch only to fill its place.</summary>
    public abstract SiglipPatchGrid PlaceholderGrid { get; }

    public nn.Module Model => use.Model;

    /// <inheritdoc cref="ModelUse.ToParts"/>
    public IReadOnlyList<SafetensorsPart> ToParts(ScalarType dtype) => use.ToParts(dtype);

    /// <inheritdoc cref="ModelUse.ModelSha256"/>
    public string? ModelSha256 => use.ModelSha256;

    /// <inheritdoc cref="ModelUse.IsShared"/>
    public bool SharesModel => use.IsShared;

    /// <summary>Makes a tower of a model that nobody else has, and owns it.</summary>
    /// <exception cref="ArgumentException">The preprocessing does not fit the model, or an option does not; the model is as it was.</exception>
    public static VisionTower Of(SiglipVisionModel model, SiglipImageProcessorConfig processorConfig, SiglipImageEmbedderOptions options)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(processorConfig);
        SiglipImageEmbedder.CheckOptions(options, model.Config);
        SiglipImageProcessorConfig adapted = FixedResolutionTower.Adapt(processorConfig, model.Config, options);
        Device device = OneOf(options);
        return new FixedResolutionTower(ModelUse.Own(model, options.Precision, device), device, adapted, options);
    }

    /// <inheritdoc cref="Of(SiglipVisionModel, SiglipImageProcessorConfig, SiglipImageEmbedderOptions)"/>
    public static VisionTower Of(Siglip2VisionModel model, Siglip2ImageProcessorConfig processorConfig, SiglipImageEmbedderOptions options)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(processorConfig);
        SiglipImageEmbedder.CheckOptions(options, model.Config);
        Siglip2ImageProcessorConfig adapted = VariableResolutionTower.Adapt(processorConfig, model.Config, options);
        Device device = OneOf(options);
        return new VariableResolutionTower(ModelUse.Own(model, options.Precision, device), device, adapted, options);
    }

    /// <summary>Makes a tower of a checkpoint's model for each device that the options name; all towers with equal weights, precision and device share it.</summary>
    /// <exception cref="ArgumentException">The preprocessing does not fit the model, or an option does not.</exception>
    public static VisionTower[] Load(SiglipCheckpoint checkpoint, SiglipImageEmbedderOptions options)
    {
        SiglipImageEmbedder.CheckOptions(options, checkpoint.Config); // this and the next before the weights are read
        SiglipImageProcessorConfigBase adapted = CheckFit(checkpoint.Config, checkpoint.ProcessorConfig, options);
        var towers = new List<VisionTower>();
        try
        {
            foreach (Device device in TorchDevice.FindAll(options.Device))
                towers.Add(Load(checkpoint, adapted, options, device));
            return [.. towers];
        }
        catch
        {
            towers.ForEach(tower => tower.Dispose());
            throw;
        }
    }

    private static VisionTower Load(SiglipCheckpoint checkpoint, SiglipImageProcessorConfigBase adapted, SiglipImageEmbedderOptions options, Device device)
    {
        ModelUse use = ModelUse.Share(checkpoint, options.Precision ?? SiglipPrecision.Float32, device);
        try
        {
            return adapted is Siglip2ImageProcessorConfig naFlex
                ? new VariableResolutionTower(use, device, naFlex, options)
                : new FixedResolutionTower(use, device, (SiglipImageProcessorConfig)adapted, options);
        }
        catch
        {
            use.Dispose(); // or the model would outlive its other users
            throw;
        }
    }

    /// <summary>Checks all that needs no weights.</summary>
    /// <returns>The preprocessing with what the options change of it.</returns>
    /// <exception cref="ArgumentException">The preprocessing does not fit the model, or an option does not.</exception>
    public static SiglipImageProcessorConfigBase CheckFit(
        SiglipVisionConfigBase config, SiglipImageProcessorConfigBase processorConfig, SiglipImageEmbedderOptions options) => config is Siglip2VisionConfig naFlex
            ? VariableResolutionTower.Adapt((Siglip2ImageProcessorConfig)processorConfig, naFlex, options)
            : FixedResolutionTower.Adapt((SiglipImageProcessorConfig)processorConfig, (SiglipVisionConfig)config, options);

    /// <summary>Number of pixel values and of patch embeddings of one image in a batch.</summary>
    public static (long PixelValues, long Patches) SizesOf(SiglipVisionConfigBase config, SiglipImageProcessorConfigBase adapted) =>
        adapted is Siglip2ImageProcessorConfig naFlex
            ? ((long)naFlex.MaxNumPatches * ((Siglip2VisionConfig)config).ValuesPerPatch, naFlex.MaxNumPatches)
            : adapted is SiglipImageProcessorConfig size
                ? (3L * size.Height * size.Width, (long)(size.Height / config.PatchSize) * (size.Width / config.PatchSize))
                : throw new NotSupportedException($"{adapted.GetType()}");

    /// <summary>Makes pixel values of one image.</summary>
    /// <param name="image">None of its rows may have been handed out.</param>
    /// <param name="pixelValues">As many as <see cref="PixelValueCount"/> says.</param>
    /// <returns>The image's patches.</returns>
    /// <exception cref="ArgumentException">The preprocessing does not take the image.</exception>
    /// <exception cref="InvalidDataException">The pixels are damaged.</exception>
    public abstract SiglipPatchGrid Preprocess(PixelRows image, Span<float> pixelValues);

    /// <summary>Whether pixel values can be made on the device, from <see cref="PreprocessToLevels"/> and <see cref="LookUp"/>: a byte for each goes there.</summary>
    public virtual bool TakesLevels => false;

    /// <summary>Makes grey levels of one image, in place of its pixel values; otherwise like <see cref="Preprocess"/>.</summary>
    /// <param name="image">None of its rows may have been handed out.</param>
    /// <param name="levels">As many as there would be pixel values.</param>
    public virtual SiglipPatchGrid PreprocessToLevels(PixelRows image, Span<byte> levels) => throw new NotSupportedException($"{GetType()}");

    /// <summary>Looks up the pixel values of grey levels, in the table that <see cref="Preprocess"/> uses: the same bits.</summary>
    /// <param name="levels">uint8 [count, <see cref="PixelValueCount"/>], on any device.</param>
    /// <returns>float32 [count, <see cref="PixelValueCount"/>], there.</returns>
    public virtual Tensor LookUp(Tensor levels) => throw new NotSupportedException($"{GetType()}");

    /// <summary>The size to which images of a given size are resized, in pixels; null if they are not.</summary>
    public abstract (int Width, int Height)? SizeFor(int width, int height);

    /// <summary>One forward pass.</summary>
    /// <param name="pixelValues">[count, <see cref="PixelValueCount"/>], on the model's device.</param>
    /// <param name="grids">The patches of each image.</param>
    /// <param name="outputs">The embeddings wanted.</param>
    /// <returns>Patches [count, <see cref="PatchCount"/>, hidden], 0 where an image has none; pooled and mean [count, hidden], null unless asked for. They
    /// belong to the open dispose scope.</returns>
    public abstract (Tensor Patches, Tensor? Pooled, Tensor? Mean) Forward(
        Tensor pixelValues, ReadOnlySpan<SiglipPatchGrid> grids, SiglipEmbeddingOutputs outputs);

    /// <summary>One forward pass of one image, without padding.</summary>
    /// <param name="pixelValues">[1, <see cref="PixelValueCount"/>], on the model's device.</param>
    /// <param name="grid">The image's patches.</param>
    /// <param name="options">What to return.</param>
    /// <returns>Tensors of a batch of one image and as many patches as it has; they belong to the open dispose scope.</returns>
    public abstract SiglipVisionOutput Forward(Tensor pixelValues, SiglipPatchGrid grid, SiglipForwardOptions options);

    /// <summary>The image as it is divided into patches: resized, and with 8 bits.</summary>
    /// <param name="image">None of its rows may have been handed out.</param>
    /// <exception cref="ArgumentException">The preprocessing does not take the image.</exception>
    /// <exception cref="InvalidDataException">The pixels are damaged.</exception>
    public abstract RgbImage Resize(PixelRows image);

    /// <summary>The pooling head; null if the model has none.</summary>
    public abstract SiglipMultiheadAttentionPoolingHead? Head { get; }

    public void Dispose() => use.Dispose();

    /// <exception cref="ArgumentException">The options name several devices.</exception>
    private static Device OneOf(SiglipImageEmbedderOptions options) => TorchDevice.FindAll(options.Device) is [var only]
        ? only
        : throw new ArgumentException($"The devices are '{options.Device}', but a model that exists already is on one; load it with "
            + $"{nameof(SiglipImageEmbedder)}.FromPretrained for several.");

    /// <summary>Checks that one image's patch embeddings fit into an array.</summary>
    /// <exception cref="ArgumentException">They do not.</exception>
    private protected static void CheckLength(long patches, SiglipVisionConfigBase config, string options)
    {
        if (patches * config.HiddenSize > Array.MaxLength)
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"One image would have {patches:N0} patches, whose embeddings of "
                + $"{config.HiddenSize} values each do not fit into one array (at most {Array.MaxLength:N0}); lower {options}."));
    }
}
