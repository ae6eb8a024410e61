using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Pixels to patch embeddings: one linear map per patch, plus a learned embedding of the patch's position.</summary>
/// <remarks>Source: transformers, modeling_siglip.py, class SiglipVisionEmbeddings.</remarks>
public sealed class SiglipVisionEmbeddings : nn.Module<Tensor, Tensor>
{
    private readonly SiglipVisionConfig _config;
    private readonly Conv2d patch_embedding;
    private readonly Embedding position_embedding;

    /// <summary>Creates the module with new random weights.</summary>
    /// <exception cref="ArgumentException">The sizes do not fit together.</exception>
    public SiglipVisionEmbeddings(SiglipVisionConfig config) : base(ModuleConfig.Name(nameof(SiglipVisionEmbeddings)))
    {
        _config = ModuleConfig.Check(config);
        using DisposeScope scope = NewDisposeScope(); // for what the initialization leaves behind

        // Stride = kernel: patches do not overlap. No padding: surplus pixels at the right and the bottom are ignored.
        patch_embedding = nn.Conv2d(config.NumChannels, config.HiddenSize, config.PatchSize, stride: config.PatchSize, dtype: Initialization.Dtype);
        position_embedding = nn.Embedding(config.NumPatches, config.HiddenSize, dtype: Initialization.Dtype);
        RegisterComponents();

        Initialization.LecunNormal(patch_embedding.weight!, (long)config.NumChannels * config.PatchSize * config.PatchSize);
        nn.init.zeros_(patch_embedding.bias!);
        nn.init.normal_(position_embedding.weight!, 0, 1 / Math.Sqrt(config.HiddenSize));
        ParameterLifetime.Detach(this);
    }

    /// <summary>Embeds images of the configured size.</summary>
    /// <param name="pixelValues">[batch, channels, height, width].</param>
    /// <returns>[batch, patches, hidden].</returns>
    /// <exception cref="ArgumentException">The shape is another one.</exception>
    public override Tensor forward(Tensor pixelValues) => Forward(pixelValues, interpolatePositionEncoding: false);

    /// <summary>Embeds images, of any size of at least one patch if the position embeddings may be interpolated.</summary>
    /// <param name="pixelValues">[batch, channels, height, width].</param>
    /// <param name="interpolatePositionEncoding">Whether to interpolate the position embeddings to the images' grid of patches.</param>
    /// <returns>[batch, patches, hidden].</returns>
    /// <exception cref="ArgumentException">The shape is another one.</exception>
    public Tensor Forward(Tensor pixelValues, bool interpolatePositionEncoding)
    {
        ArgumentNullException.ThrowIfNull(pixelValues);
        CheckShape(pixelValues.shape, interpolatePositionEncoding);

        using DisposeScope scope = NewDisposeScope();
        Tensor patches = patch_embedding.call(pixelValues.to(patch_embedding.weight!.dtype)); // [batch, hidden, rows, columns]
        long rows = patches.shape[2], columns = patches.shape[3];
        patches = patches.flatten(2).transpose(1, 2); // [batch, patches, hidden]
        return (patches + PositionEmbeddings(rows, columns)).MoveToOuterDisposeScope();
    }

    /// <summary>Interpolates position embeddings to another grid of patches, in float32, whatever they are.</summary>
    /// <param name="positions">[side · side, hidden].</param>
    /// <param name="side">Rows and columns of their grid.</param>
    /// <param name="rows">Rows of the other grid.</param>
    /// <param name="columns">Columns of the other grid.</param>
    /// <returns>[rows · columns, hidden], float32.</returns>
    /// <remarks>As transformers since September 2024: bicubic, no antialiasing.</remarks>
    internal static Tensor Interpolate(Tensor positions, long side, long rows, long columns)
    {
        using DisposeScope scope = NewDisposeScope();
        long hidden = positions.shape[1];
        Tensor grid = positions.to(float32).reshape(1, side, side, hidden).permute(0, 3, 1, 2); // [1, hidden, rows, columns]
        grid = nn.functional.interpolate(grid, size: [rows, columns], mode: InterpolationMode.Bicubic, align_corners: false);
        return grid.permute(0, 2, 3, 1).reshape(rows * columns, hidden).MoveToOuterDisposeScope(); // [patches, hidden]
    }

    internal void InitializeMimetic()
    {
        using DisposeScope scope = NewDisposeScope();
        long side = _config.ImageSize / _config.PatchSize;
        Initialization.SineCosine(position_embedding.weight!, side);
    }

    // [patches, hidden]
    private Tensor PositionEmbeddings(long rows, long columns)
    {
        Tensor positions = position_embedding.weight!; // [patches, hidden]
        long side = _config.ImageSize / _config.PatchSize;
        if (rows == side && columns == side)
            return positions;

        return Interpolate(positions, side, rows, columns).to(positions.dtype);
    }

    private void CheckShape(long[] shape, bool interpolatePositionEncoding)
    {
        bool fits = shape is [_, var channels, var height, var width] && channels == _config.NumChannels
            && (interpolatePositionEncoding
                ? height >= _config.PatchSize && width >= _config.PatchSize
                : height / _config.PatchSize == _config.ImageSize / _config.PatchSize
                    && width / _config.PatchSize == _config.ImageSize / _config.PatchSize);
        if (fits)
            return;

        string expected = interpolatePositionEncoding
            ? $"[batch, {_config.NumChannels}, height, width] with sides of at least {_config.PatchSize}"
            : $"[batch, {_config.NumChannels}, {_config.ImageSize}, {_config.ImageSize}]";
        throw new ArgumentException($"pixelValues has shape [{string.Join(", ", shape)}], expected {expected}."
            + (interpolatePositionEncoding || shape.Length != 4 || shape[1] != _config.NumChannels
                ? "" : " Resize the images, or set InterpolatePositionEncoding."));
    }
}
