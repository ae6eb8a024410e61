namespace Siglip.Core;

/// <summary>What one forward pass gave for an image, as plain arrays, and pictures and maps of it. Patches are named by row and column, from 0 at the top left; layers
/// and heads are counted from 0.</summary>
/// <remarks>From <see cref="SiglipExplainer.Explain(string)"/>. Pictures are <see cref="RgbImage"/>s: <see cref="RgbImage.ToPng"/> gives a file,
/// <see cref="RgbImage.ToHtml"/> a string for a notebook.</remarks>
public sealed class SiglipExplanation
{
    private readonly SiglipExplainer _explainer;
    private readonly float[] _pixelValues;

    internal SiglipExplanation(SiglipExplainer explainer, float[] pixelValues) => (_explainer, _pixelValues) = (explainer, pixelValues);

    /// <summary>The image as the model sees it: resized, without pixels at the right and the bottom that make no whole patch.</summary>
    public required RgbImage Image { get; init; }

    /// <summary>How the image is divided into patches; all of them are the image's, there is no padding.</summary>
    public required SiglipPatchGrid PatchGrid { get; init; }

    /// <summary>Number of attention heads of each layer.</summary>
    public required int Heads { get; init; }

    /// <summary>Each layer's attention weights [heads, patches, patches], row-major: how much a patch (the middle index) takes from each patch (the last index), which
    /// sums to 1.</summary>
    public required IReadOnlyList<float[]> Attentions { get; init; }

    /// <summary>The attention weights [heads, patches] of the pooling head's probe, which sum to 1 for each head; null if the model has no pooling head.</summary>
    public required float[]? ProbeAttention { get; init; }

    /// <summary>Layers + 1 arrays [patches, hidden], before the final layer norm: first the embeddings, then each layer's output.</summary>
    public required IReadOnlyList<float[]> HiddenStates { get; init; }

    /// <summary>The patch embeddings [patches, hidden], after the final layer norm.</summary>
    public required float[] LastHiddenState { get; init; }

    /// <summary>The pooled embedding [hidden]; null if the model has no pooling head.</summary>
    public required float[]? PoolerOutput { get; init; }

    /// <summary>The classes that the classifier knows; null if there is none.</summary>
    public required IReadOnlyList<string>? Labels { get; init; }

    /// <summary>The probabilities of the classes, in their order; null if there is no classifier.</summary>
    public required float[]? Probabilities { get; init; }

    /// <summary>The most probable class; null if there is no classifier.</summary>
    public string? PredictedLabel => Probabilities is null ? null : Labels![Array.IndexOf(Probabilities, Probabilities.Max())];

    /// <summary>The name of the image's file; null if it was none.</summary>
    internal string? ImageName { get; init; }

    private int Patches => PatchGrid.Count;

    private int HiddenSize => LastHiddenState.Length / Patches;

    /// <summary>Where a patch looks in a layer: how much it takes from each patch.</summary>
    /// <param name="layer">From 0.</param>
    /// <param name="row">The row of the patch that looks.</param>
    /// <param name="column">Its column.</param>
    /// <param name="head">From 0; null for the mean of all heads.</param>
    /// <returns>Numbers that sum to 1.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such layer, head or patch.</exception>
    public SiglipPatchMap GetAttention(int layer, int row, int column, int? head = null)
    {
        CheckLayer(layer);
        int patch = PatchGrid.IndexOf(row, column);
        return OfHeads(head, of => Attentions[layer].AsSpan(((of * Patches) + patch) * Patches, Patches));
    }

    /// <summary>Where the pooling head's probe looks: how much each patch is worth to the pooled embedding.</summary>
    /// <param name="head">From 0; null for the mean of all heads.</param>
    /// <returns>Numbers that sum to 1.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such head.</exception>
    /// <exception cref="InvalidOperationException">The model has no pooling head.</exception>
    public SiglipPatchMap GetProbeAttention(int? head = null)
    {
        float[] weights = ProbeAttention ?? throw new InvalidOperationException("The model has no pooling head (vision_use_head is false), hence no probe; use GetAttention or GetRollout.");
        return OfHeads(head, of => weights.AsSpan(of * Patches, Patches));
    }

    /// <summary>Follows attention through all layers: from which patches of the image a patch's output comes.</summary>
    /// <param name="row">The row of the patch.</param>
    /// <param name="column">Its column.</param>
    /// <returns>Numbers that sum to 1.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such patch.</exception>
    /// <remarks>Attention rollout ("Quantifying Attention Flow in Transformers", Abnar and Zuidema, 2020): the layers' attention weights, each the mean of the heads and,
    /// for the residual connection, half of them and half of the identity, multiplied with each other.</remarks>
    public SiglipPatchMap GetRollout(int row, int column)
    {
        double[] start = new double[Patches];
        start[PatchGrid.IndexOf(row, column)] = 1;
        return RollOut(start);
    }

    /// <summary>Follows attention through all layers: from which patches the embedding of the image comes. It starts with the attention of the pooling head's probe; in
    /// a model without a pooling head with the mean of all patches.</summary>
    /// <returns>Numbers that sum to 1.</returns>
    /// <inheritdoc cref="GetRollout(int, int)" path="/remarks"/>
    public SiglipPatchMap GetRollout()
    {
        double[] start = new double[Patches];
        if (ProbeAttention is null)
            Array.Fill(start, 1.0 / Patches);
        else
            start = [.. GetProbeAttention().Values.ToArray().Select(value => (double)value)];
        return RollOut(start);
    }

    /// <summary>How far a head looks: the mean distance between a patch and those that it attends to, weighted by attention.</summary>
    /// <param name="layer">From 0.</param>
    /// <param name="head">From 0.</param>
    /// <returns>In pixels of the image as the model sees it.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such layer or head.</exception>
    /// <remarks>Source: "An Image is Worth 16x16 Words" (Dosovitskiy et al., 2021), figures 7 and 11.</remarks>
    public double GetAttentionDistance(int layer, int head)
    {
        CheckLayer(layer);
        CheckHead(head);
        ReadOnlySpan<float> weights = Attentions[layer].AsSpan(head * Patches * Patches, Patches * Patches);
        double sum = 0;
        for (int from = 0; from < Patches; from++)
        {
            (int row, int column) = Math.DivRem(from, PatchGrid.Columns);
            for (int to = 0; to < Patches; to++)
            {
                (int otherRow, int otherColumn) = Math.DivRem(to, PatchGrid.Columns);
                sum += weights[(from * Patches) + to] * double.Hypot(row - otherRow, column - otherColumn);
            }
        }

        return sum / Patches * PatchSize;
    }

    /// <summary>How similar the embedding of a patch is to those of all.</summary>
    /// <param name="row">The row of the patch.</param>
    /// <param name="column">Its column.</param>
    /// <returns>Cosines, from -1 to 1.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such patch.</exception>
    public SiglipPatchMap GetSimilarity(int row, int column) =>
        new(PatchGrid, CosineSimilarity.ToAll(LastHiddenState, HiddenSize, PatchGrid.IndexOf(row, column)));

    /// <summary>How much each patch speaks for a class. Runs the model once more, forward and backward.</summary>
    /// <param name="label">The class; null for the most probable one.</param>
    /// <returns>Numbers of at least 0, without a unit; 0 where nothing speaks for the class.</returns>
    /// <exception cref="ArgumentException">There is no such label.</exception>
    /// <exception cref="InvalidOperationException">There is no classifier.</exception>
    /// <exception cref="ObjectDisposedException">The explainer is disposed.</exception>
    /// <remarks>Gradient times input ("Not Just a Black Box: Learning Important Features Through Propagating Activation Differences", Shrikumar et al., 2016): how much the
    /// logit of the class, relative to the mean of all classes, would rise with each number of the patch's embedding, times that number, summed over the patch; sums below 0 are 0.</remarks>
    public SiglipPatchMap GetRelevance(string? label = null) => new(PatchGrid, _explainer.ComputeRelevance(_pixelValues, PatchGrid, label));

    /// <summary>Draws the image with its patches, numbered in the order in which the model sees them; rows and columns at the edges.</summary>
    public RgbImage DrawPatchGrid() => PatchPictures.DrawGrid(Image, PatchGrid);

    /// <summary>Draws the sequence that the model sees: the patches in their order, line after line, with their numbers.</summary>
    public RgbImage DrawPatchSequence() => PatchPictures.DrawSequence(Image, PatchGrid);

    /// <summary>Draws where a patch looks, in all layers (from top to bottom) and heads (from left to right), over the image. Each tile has its own scale.</summary>
    /// <param name="row">The row of the patch that looks.</param>
    /// <param name="column">Its column.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such patch.</exception>
    public RgbImage DrawAttention(int row, int column)
    {
        int patch = PatchGrid.IndexOf(row, column);
        return AttentionPictures.DrawHeads(Image, Attentions.Count, Heads, (layer, head) => GetAttention(layer, row, column, head), patch);
    }

    /// <summary>Draws where the pooling head's probe looks, in all its heads, over the image. Each tile has its own scale.</summary>
    /// <exception cref="InvalidOperationException">The model has no pooling head.</exception>
    public RgbImage DrawProbeAttention() => AttentionPictures.DrawHeads(Image, 1, Heads, (_, head) => GetProbeAttention(head), patch: null);

    /// <summary>Draws how far each head looks (see <see cref="GetAttentionDistance"/>): a point for each head, layers from left to right, pixels from bottom to
    /// top.</summary>
    public RgbImage DrawAttentionDistances() => AttentionPictures.DrawDistances(
        [.. Enumerable.Range(0, Attentions.Count).Select(layer => Enumerable.Range(0, Heads).Select(head => GetAttentionDistance(layer, head)).ToArray())]);

    /// <summary>Draws the patch embeddings as colours: the first three principal components of this image's patches are red, green and blue. Patches that the model
    /// takes for the same thing have the same colour; which one it is means nothing.</summary>
    public RgbImage DrawEmbeddings() => PatchPictures.DrawComponents(LastHiddenState, HiddenSize, PatchGrid, Image);

    /// <summary>Writes all pictures as PNG files, and a page with them that explains what they show: <c>report.html</c>, which needs no other file. The files appear
    /// when all of them are complete.</summary>
    /// <param name="folder">Created if it does not exist; files of these names in it are replaced.</param>
    /// <param name="patch">The patch whose attention and similarity are shown; null for that in the middle.</param>
    /// <param name="label">The class whose relevance is shown; null for the most probable one. Only if there is a classifier.</param>
    /// <returns>The files; the page is the first one.</returns>
    /// <exception cref="ArgumentException">There is no such patch or label.</exception>
    /// <exception cref="InvalidOperationException">A label is given, and there is no classifier.</exception>
    /// <exception cref="IOException">The folder cannot be written to.</exception>
    /// <exception cref="ObjectDisposedException">The explainer is disposed.</exception>
    public IReadOnlyList<string> SaveReport(string folder, (int Row, int Column)? patch = null, string? label = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        return ExplanationReport.Of(_explainer, this, patch ?? MiddlePatch, label).Save(folder);
    }

    /// <summary>The patch in the middle, of an even number the one to the right and below of it.</summary>
    internal (int Row, int Column) MiddlePatch => (PatchGrid.Rows / 2, PatchGrid.Columns / 2);

    private int PatchSize => Image.Width / PatchGrid.Columns;

    private delegate Span<float> Weights(int head);

    private SiglipPatchMap OfHeads(int? head, Weights weightsOf)
    {
        if (head is { } one)
        {
            CheckHead(one);
            return new SiglipPatchMap(PatchGrid, weightsOf(one).ToArray());
        }

        double[] sums = new double[Patches];
        for (int of = 0; of < Heads; of++)
        {
            ReadOnlySpan<float> weights = weightsOf(of);
            for (int i = 0; i < sums.Length; i++)
                sums[i] += weights[i];
        }

        return new SiglipPatchMap(PatchGrid, [.. sums.Select(sum => (float)(sum / Heads))]);
    }

    // From the last layer to the first, as only one row of the product is wanted.
    private SiglipPatchMap RollOut(double[] row)
    {
        foreach (float[] weights in Attentions.Reverse())
        {
            double[] next = [.. row.Select(value => value / 2)]; // the residual connection
            for (int head = 0; head < Heads; head++)
            {
                for (int from = 0; from < Patches; from++)
                {
                    ReadOnlySpan<float> ofPatch = weights.AsSpan(((head * Patches) + from) * Patches, Patches);
                    double share = row[from] / 2 / Heads;
                    for (int to = 0; to < Patches; to++)
                        next[to] += share * ofPatch[to];
                }
            }

            row = next;
        }

        return new SiglipPatchMap(PatchGrid, [.. row.Select(value => (float)value)]);
    }

    private void CheckLayer(int layer)
    {
        if (layer < 0 || layer >= Attentions.Count)
            throw new ArgumentOutOfRangeException(nameof(layer), layer, $"The model has {Attentions.Count} layers, expected 0 to {Attentions.Count - 1}.");
    }

    private void CheckHead(int head)
    {
        if (head < 0 || head >= Heads)
            throw new ArgumentOutOfRangeException(nameof(head), head, $"The model has {Heads} heads, expected 0 to {Heads - 1}.");
    }
}
