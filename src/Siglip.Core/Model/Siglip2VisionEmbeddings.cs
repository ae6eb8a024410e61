using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Patches to patch embeddings, in images of any shape: one linear map per patch, plus an embedding of the patch's position, from a grid that is
/// resized to each image's.</summary>
/// <remarks>Source: transformers, modeling_siglip2.py, class Siglip2VisionEmbeddings.</remarks>
public sealed class Siglip2VisionEmbeddings : nn.Module<Tensor, Tensor, Tensor>
{
    private readonly Siglip2VisionConfig _config;
    private readonly Linear patch_embedding;
    private readonly Embedding position_embedding;

    /// <summary>Creates the module with new random weights.</summary>
    /// <exception cref="ArgumentException">The sizes do not fit together.</exception>
    public Siglip2VisionEmbeddings(Siglip2VisionConfig config) : base(ModuleConfig.Name(nameof(Siglip2VisionEmbeddings)))
    {
        _config = ModuleConfig.Check(config);
        using DisposeScope scope = NewDisposeScope(); // for what the initialization leaves behind
        patch_embedding = Initialization.NewLinear(config.ValuesPerPatch, config.HiddenSize);
        position_embedding = nn.Embedding(config.NumPatches, config.HiddenSize, dtype: Initialization.Dtype);
        RegisterComponents();

        Initialization.LecunNormal(patch_embedding.weight!, config.ValuesPerPatch);
        nn.init.zeros_(patch_embedding.bias!);
        nn.init.normal_(position_embedding.weight!, 0, 1 / Math.Sqrt(config.HiddenSize));
        ParameterLifetime.Detach(this);
    }

    /// <summary>Embeds patches.</summary>
    /// <param name="pixelValues">[batch, patches, patch height × patch width × channels]; each image's patches in row-major order, followed by padding.</param>
    /// <param name="spatialShapes">Integers [batch, 2]: rows and columns of each image's patches.</param>
    /// <returns>[batch, patches, hidden]; those of padding have no meaning.</returns>
    /// <exception cref="ArgumentException">A shape is another one, or an image has no patch or more than there is room for.</exception>
    public override Tensor forward(Tensor pixelValues, Tensor spatialShapes)
    {
        ArgumentNullException.ThrowIfNull(pixelValues);
        ArgumentNullException.ThrowIfNull(spatialShapes);
        CheckShapes(pixelValues.shape, spatialShapes.shape);
        using DisposeScope scope = NewDisposeScope();
        Tensor patches = patch_embedding.call(pixelValues.to(patch_embedding.weight!.dtype)); // [batch, patches, hidden]
        Tensor positions = PositionEmbeddings(spatialShapes, pixelValues.shape[1]); // [batch, patches, hidden]
        return (patches + positions.to(patches.dtype)).MoveToOuterDisposeScope();
    }

    private Tensor PositionEmbeddings(Tensor spatialShapes, long patches)
    {
        // Resized in float32 whatever the weights are, as transformers does on the CPU.
        Tensor grid = position_embedding.weight!.to(float32).reshape(_config.GridSide, _config.GridSide, _config.HiddenSize); // [rows, columns, hidden]
        long[] sides = spatialShapes.to(int64).cpu().contiguous().data<long>().ToArray();
        var known = new Dictionary<(long Rows, long Columns), Tensor>();
        var ofImages = new List<Tensor>();
        for (int i = 0; i < sides.Length; i += 2)
        {
            (long rows, long columns) = (sides[i], sides[i + 1]);
            if (rows < 1 || columns < 1 || rows > patches || columns > patches || rows * columns > patches)
                throw new ArgumentException($"spatialShapes has {rows} x {columns} patches for image {i / 2}, expected at least 1 x 1 and at most "
                    + $"{patches} patches, as many as pixelValues has room for.");
            if (!known.TryGetValue((rows, columns), out Tensor? ofImage))
                known[(rows, columns)] = ofImage = Padded(PositionGrid.Resize(grid, rows, columns).reshape(rows * columns, _config.HiddenSize), patches);
            ofImages.Add(ofImage);
        }

        return stack(ofImages); // [batch, patches, hidden]
    }

    // Padding gets the first position, as in transformers: what it is does not matter, as nothing attends to it.
    private Tensor Padded(Tensor positions, long patches) => positions.shape[0] == patches
        ? positions
        : cat([positions, positions[..1].expand(patches - positions.shape[0], _config.HiddenSize)]);

    private void CheckShapes(long[] pixelValues, long[] spatialShapes)
    {
        if (pixelValues is not [_, > 0, var values] || values != _config.ValuesPerPatch)
            throw new ArgumentException($"pixelValues has shape [{string.Join(", ", pixelValues)}], expected [batch, patches, {_config.ValuesPerPatch}]: "
                + $"patches of {_config.PatchSize} x {_config.PatchSize} pixels with {_config.NumChannels} channels.");
        if (spatialShapes is not [var batch, 2] || batch != pixelValues[0])
            throw new ArgumentException($"spatialShapes has shape [{string.Join(", ", spatialShapes)}], expected [{pixelValues[0]}, 2]: rows and columns of "
                + "each image's patches.");
    }
}
