using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Shows what a SigLIP model sees: how it divides images into patches, where its layers look, what it makes of each patch, and which patches speak for a
/// label. A model with fixed or variable resolution (NaFlex), with its classifier if it has one.</summary>
/// <remarks>
/// <para>One forward pass for an image; what it gives are plain arrays, and pictures and maps of them. Attention weights are computed step by step, which is slower
/// than embedding, and kept: of a so400m-sized model at 384 pixels, 0.9 GB for an image.</para>
/// <para>Several threads may use one explainer; dispose it when they are done.</para>
/// </remarks>
/// <example>
/// <code>
/// using var explainer = SiglipExplainer.FromPretrained("nano");
/// SiglipExplanation explanation = explainer.Explain("photo.jpg");
///
/// // Patching
/// File.WriteAllBytes("patches.png", explanation.DrawPatchGrid().ToPng());
/// string html = explanation.DrawPatchSequence().ToHtml("the patches in a row"); // for a notebook
/// RgbImage filters = explainer.DrawPatchFilters(), positions = explainer.DrawPositionSimilarities();
///
/// // Self-attention: where the patch in row 4, column 2 looks in layer 5, the mean of all heads
/// SiglipPatchMap attention = explanation.GetAttention(layer: 5, row: 4, column: 2);
/// RgbImage heatMap = attention.DrawOver(explanation.Image);
/// RgbImage allHeads = explanation.DrawAttention(row: 4, column: 2); // layers x heads
/// SiglipPatchMap pooling = explanation.GetProbeAttention(), rollout = explanation.GetRollout();
/// double pixels = explanation.GetAttentionDistance(layer: 0, head: 0);
///
/// // Output embeddings
/// RgbImage components = explanation.DrawEmbeddings();
/// SiglipPatchMap similar = explanation.GetSimilarity(row: 4, column: 2);
///
/// // Why this label? (of a checkpoint with a classifier)
/// SiglipPatchMap relevance = explanation.GetRelevance(); // or GetRelevance("cat")
///
/// // All of it, as PNG files and a page
/// explanation.SaveReport("explained");
/// </code>
/// </example>
public sealed class SiglipExplainer : IDisposable
{
    private const string PatchEmbedding = ExpectedTensors.Prefix + "embeddings.patch_embedding.weight";
    private const int MosaicSide = 640; // of pictures, about
    private const int ShownFilters = 128;
    private const int ShownComponents = 28; // as in the paper

    private readonly VisionTower _tower;
    private readonly SiglipImageEmbedderOptions _options;
    private readonly EmbeddingClassifier? _classifier;
    private bool _disposed;

    private SiglipExplainer(VisionTower tower, SiglipImageEmbedderOptions options, EmbeddingClassifier? classifier) =>
        (_tower, _options, _classifier) = (tower, options, classifier);

    /// <summary>Loads a model, its preprocessing, and its classifier if it has one.</summary>
    /// <param name="model">A folder, <c>nano</c>, or a model of the Hugging Face hub; see <see cref="SiglipCheckpoint.Open"/>.</param>
    /// <param name="options">How images are embedded: device, precision (not Int8) and preprocessing. Null for the defaults. The batch size, the output, fast decoding
    /// and the handling of bad images play no part.</param>
    /// <exception cref="FileNotFoundException">There is no such folder or model, or it lacks a file.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or the weights do not fit the configuration.</exception>
    /// <exception cref="ArgumentException">The device does not exist, the options do not fit the model, or the precision is Int8.</exception>
    /// <exception cref="InvalidOperationException">The device is a GPU, but CUDA is not available.</exception>
    /// <exception cref="UnauthorizedAccessException">The model is gated, and the user's token has no access.</exception>
    /// <exception cref="IOException">The hub cannot be reached, and the model is not in the cache; or the cache cannot be written to.</exception>
    public static SiglipExplainer FromPretrained(string model, SiglipImageEmbedderOptions? options = null)
    {
        options ??= new SiglipImageEmbedderOptions();
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(model, options.Revision, options.Offline);
        return Load(checkpoint, options);
    }

    /// <summary>Loads the model of an open checkpoint, with its classifier if it has one.</summary>
    internal static SiglipExplainer Load(SiglipCheckpoint checkpoint, SiglipImageEmbedderOptions options) => Load(
        checkpoint, options, checkpoint.ReadClassifier() is var (weight, bias)
            ? new EmbeddingClassifier(checkpoint.Labels!, weight, bias, SiglipEmbeddingOutputs.MeanPatchEmbedding)
            : null);

    /// <summary>Loads the model of an open checkpoint, to explain another classifier on its embeddings, if there is one.</summary>
    internal static SiglipExplainer Load(SiglipCheckpoint checkpoint, SiglipImageEmbedderOptions options, EmbeddingClassifier? classifier)
    {
        if (options.Precision == SiglipPrecision.Int8)
            throw new ArgumentException("Precision is Int8, in which a model has no gradients and no attention weights; expected Float32, BFloat16 or Float16.");
        VisionTower.CheckFit(checkpoint.Config, checkpoint.ProcessorConfig, options); // before the weights are read
        SiglipPrecision precision = options.Precision ?? SiglipPrecision.Float32;
        precision.CheckDevice(TorchDevice.Find(options.Device));
        if (checkpoint.Config is Siglip2VisionConfig)
        {
            Siglip2VisionModel naFlex = checkpoint.LoadSiglip2VisionModel(precision);
            return Of(naFlex, () => VisionTower.Of(naFlex, (Siglip2ImageProcessorConfig)checkpoint.ProcessorConfig, options));
        }

        SiglipVisionModel model = checkpoint.LoadVisionModel(precision);
        return Of(model, () => VisionTower.Of(model, (SiglipImageProcessorConfig)checkpoint.ProcessorConfig, options));

        SiglipExplainer Of(nn.Module loaded, Func<VisionTower> toTower)
        {
            try
            {
                return new SiglipExplainer(toTower(), options, classifier);
            }
            catch
            {
                loaded.Dispose();
                throw;
            }
        }
    }

    /// <summary>The model's sizes: a <see cref="SiglipVisionConfig"/>, or a <see cref="Siglip2VisionConfig"/> if it has variable resolution.</summary>
    public SiglipVisionConfigBase Config => _tower.Config;

    /// <summary>The classes that the classifier knows; null if there is none.</summary>
    public IReadOnlyList<string>? Labels => _classifier?.Labels;

    /// <summary>Explains an image file.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is no image, a damaged one, or one that the preprocessing does not take.</exception>
    /// <exception cref="ObjectDisposedException">This explainer is disposed.</exception>
    public SiglipExplanation Explain(string imagePath)
    {
        ArgumentException.ThrowIfNullOrEmpty(imagePath);
        return Explain(RgbImage.ReadFile(imagePath), $"'{imagePath}'", Path.GetFileName(imagePath));
    }

    /// <summary>Explains an encoded image: the bytes of a JPEG, PNG, WebP, GIF or BMP file.</summary>
    /// <exception cref="InvalidDataException">It is no image, a damaged one, or one that the preprocessing does not take.</exception>
    /// <exception cref="ObjectDisposedException">This explainer is disposed.</exception>
    public SiglipExplanation Explain(ReadOnlyMemory<byte> encodedImage) => Explain(encodedImage, "the image", name: null);

    /// <summary>Explains an image.</summary>
    /// <exception cref="ArgumentException">The preprocessing does not resize (<see cref="SiglipImageProcessorConfigBase.DoResize"/> is false), and the image
    /// has another size.</exception>
    /// <exception cref="ObjectDisposedException">This explainer is disposed.</exception>
    public SiglipExplanation Explain(RgbImage image) => Explain(image, name: null);

    /// <summary>Draws what the patches are multiplied with: each filter, a dimension of the patch embedding, as an RGB tile. The first 128; grey is 0, and each
    /// tile is as bright as it can be.</summary>
    /// <exception cref="ObjectDisposedException">This explainer is disposed.</exception>
    public RgbImage DrawPatchFilters()
    {
        float[] filters = ReadFilters();
        return DrawFilters(filters, Math.Min(ShownFilters, Config.HiddenSize), columns: 16);
    }

    /// <summary>Draws the first 28 principal components of the patch filters as RGB tiles, which show what the filters have in common.</summary>
    /// <exception cref="ObjectDisposedException">This explainer is disposed.</exception>
    /// <remarks>Source: "An Image is Worth 16x16 Words" (Dosovitskiy et al., 2021), figure 7.</remarks>
    public RgbImage DrawPatchFilterComponents()
    {
        float[] filters = ReadFilters();
        int size = filters.Length / Config.HiddenSize;
        var components = PrincipalComponents.Of(filters, size, ShownComponents);
        return DrawFilters(components.Components, Math.Min(ShownComponents, Math.Min(size, Config.HiddenSize)), columns: 7);
    }

    /// <summary>Computes how similar the position embedding of one patch is to those of all, in the grid that the model learned.</summary>
    /// <param name="row">From 0, at the top.</param>
    /// <param name="column">From 0, at the left.</param>
    /// <returns>Cosines, from -1 to 1.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such position.</exception>
    /// <exception cref="ObjectDisposedException">This explainer is disposed.</exception>
    public SiglipPatchMap GetPositionSimilarity(int row, int column)
    {
        SiglipPatchGrid grid = PositionGrid;
        return new SiglipPatchMap(grid, CosineSimilarity.ToAll(ReadPositions(), Config.HiddenSize, grid.IndexOf(row, column)));
    }

    /// <summary>Draws the similarities of all position embeddings: a tile for each position, at its place, with its similarity to all others.</summary>
    /// <exception cref="ObjectDisposedException">This explainer is disposed.</exception>
    /// <remarks>Source: "An Image is Worth 16x16 Words" (Dosovitskiy et al., 2021), figure 7.</remarks>
    public RgbImage DrawPositionSimilarities()
    {
        const int Gap = 2;
        SiglipPatchGrid grid = PositionGrid;
        float[] similarities = CosineSimilarity.OfAll(ReadPositions(), Config.HiddenSize); // [positions, positions]
        int scale = Math.Max(1, (MosaicSide / Math.Max(grid.Rows, grid.Columns) - Gap) / Math.Max(grid.Rows, grid.Columns));
        RgbImage[] tiles = [.. similarities.Chunk(grid.Count).Select(ofPosition => new SiglipPatchMap(grid, ofPosition).Draw(scale))];
        return Mosaic.DrawNumbered(tiles, grid.Columns, Gap);
    }

    /// <summary>Frees the model.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _tower.Dispose();
    }

    /// <summary>How much each patch speaks for a label: gradient times input.</summary>
    /// <param name="pixelValues">Of one image.</param>
    /// <param name="grid">Its patches.</param>
    /// <param name="label">Null for the most probable one.</param>
    internal float[] ComputeRelevance(float[] pixelValues, SiglipPatchGrid grid, string? label)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_classifier is null)
            throw new InvalidOperationException("The model has no classifier, so there is no label to explain. Use a checkpoint with one; siglip explain takes models written by siglip train, too.");
        using var ordinaryTensors = inference_mode(false);
        using var gradients = enable_grad();
        using DisposeScope scope = NewDisposeScope();
        SiglipVisionOutput output = Forward(pixelValues, grid, new SiglipForwardOptions { OutputHiddenStates = true });
        Tensor logits = _classifier.Logits(output.LastHiddenState, output.PoolerOutput, _options.Normalize); // [labels]
        long target = label is null ? logits.argmax().item<long>() : _classifier.IndexOf(label);

        // Relative to the mean of all classes, as a number that is added to all logits changes no probability.
        Tensor logit = _classifier.Labels.Count == 1 ? logits[target] : logits[target] - logits.mean();
        Tensor embeddings = output.HiddenStates![0]; // [1, patches, hidden]
        Tensor gradient = autograd.grad([logit], [embeddings])[0];
        return ToArray((gradient.to(float32) * embeddings.to(float32)).sum(-1).relu().detach()); // [1, patches]
    }

    private SiglipPatchGrid PositionGrid
    {
        get
        {
            int side = (int)Math.Sqrt(Config.NumPositions);
            return new SiglipPatchGrid(side, side);
        }
    }

    private SiglipExplanation Explain(RgbImage image, string? name)
    {
        ArgumentNullException.ThrowIfNull(image);
        ObjectDisposedException.ThrowIf(_disposed, this);
        float[] pixelValues = new float[_tower.PixelValueCount];
        using var rows = new ImageRows(image);
        SiglipPatchGrid grid = _tower.Preprocess(rows, pixelValues);
        using var again = new ImageRows(image);
        RgbImage resized = _tower.Resize(again);

        using var noGradients = no_grad();
        using DisposeScope scope = NewDisposeScope();
        SiglipVisionOutput output = Forward(pixelValues, grid, new SiglipForwardOptions { OutputAttentions = true, OutputHiddenStates = true });
        (Tensor Pooled, Tensor Weights)? head = _tower.Head?.ForwardWithWeights(output.LastHiddenState);
        return new SiglipExplanation(this, pixelValues)
        {
            ImageName = name,
            Image = PictureSize.Crop(resized, 0, 0, grid.Columns * Config.PatchSize, grid.Rows * Config.PatchSize),
            PatchGrid = grid,
            Heads = Config.NumAttentionHeads,
            Attentions = [.. output.Attentions!.Select(ToArray)],
            HiddenStates = [.. output.HiddenStates!.Select(ToArray)],
            LastHiddenState = ToArray(output.LastHiddenState),
            PoolerOutput = head is var (pooled, _) ? ToArray(pooled) : null,
            ProbeAttention = head is var (_, weights) ? ToArray(weights) : null,
            Labels = Labels,
            Probabilities = _classifier is null ? null : ToArray(_classifier.Logits(output.LastHiddenState, head?.Pooled, _options.Normalize).softmax(-1)),
        };
    }

    private SiglipExplanation Explain(ReadOnlyMemory<byte> encoded, string source, string? name)
    {
        RgbImage image = ImageDecoder.Decode(encoded, source, new ImageReading(_options.ApplyExifOrientation));
        try
        {
            return Explain(image, name);
        }
        catch (ArgumentException e)
        {
            throw UnfitImage.Named(source, e);
        }
    }

    private SiglipVisionOutput Forward(float[] pixelValues, SiglipPatchGrid grid, SiglipForwardOptions options)
    {
        Tensor pixels = tensor(pixelValues, [1, pixelValues.Length]).clone().to(_tower.Device);
        return _tower.Forward(pixels, grid, options);
    }

    // [hidden, patch height, patch width, channels]
    private float[] ReadFilters()
    {
        using var noGradients = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor weight = Read(PatchEmbedding); // [hidden, channels, patch height, patch width], or in this order already
        return ToArray(weight.dim() == 4 ? weight.permute(0, 2, 3, 1) : weight);
    }

    // [positions, hidden]
    private float[] ReadPositions()
    {
        using var noGradients = no_grad();
        using DisposeScope scope = NewDisposeScope();
        return ToArray(Read(ExpectedTensors.PositionEmbedding));
    }

    private TorchSharp.Modules.Parameter Read(string name)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return _tower.Model.named_parameters().Single(parameter => parameter.name == name).parameter;
    }

    private RgbImage DrawFilters(float[] filters, int count, int columns)
    {
        int size = Config.PatchSize, scale = Math.Max(1, MosaicSide / columns / size), length = size * size * Config.NumChannels;
        RgbImage[] tiles = [.. Enumerable.Range(0, count).Select(i => PictureSize.Enlarge(
            new RgbImage(size, size, ToLevels(filters.AsSpan(i * length, length))), scale, scale))];
        return Mosaic.Draw(tiles, columns, gap: 4);
    }

    // 0 becomes the middle grey, the largest value black or white.
    private static byte[] ToLevels(ReadOnlySpan<float> values)
    {
        float largest = 0;
        foreach (float value in values)
            largest = Math.Max(largest, Math.Abs(value));
        byte[] levels = new byte[values.Length];
        for (int i = 0; i < levels.Length; i++)
            levels[i] = (byte)Math.Round(127.5 + (largest > 0 ? 127.5 * values[i] / largest : 0));
        return levels;
    }

    private static float[] ToArray(Tensor values) => values.to(float32).cpu().contiguous().data<float>().ToArray();
}
