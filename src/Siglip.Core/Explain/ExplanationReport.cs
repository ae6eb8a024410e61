using System.Globalization;

namespace Siglip.Core;

/// <summary>The page about one image.</summary>
internal static class ExplanationReport
{
    private const string OwnScale = "Each tile has a scale of its own, from its lowest number to its highest.";

    /// <param name="explainer">Has made the explanation.</param>
    /// <param name="explanation">What is shown.</param>
    /// <param name="patch">Whose attention and similarity are shown.</param>
    /// <param name="label">Whose relevance is shown; null for the most probable class.</param>
    public static ReportPage Of(SiglipExplainer explainer, SiglipExplanation explanation, (int Row, int Column) patch, string? label)
    {
        SiglipVisionConfigBase config = explainer.Config;
        SiglipPatchGrid grid = explanation.PatchGrid;
        string name = explanation.ImageName is { } file ? $" in {file}" : "";
        string lead = $"<p>The model has {config.NumHiddenLayers} layers with {Count(config.NumAttentionHeads, "attention head")} each, and embeddings of {config.HiddenSize} numbers. It "
            + $"sees the image as {explanation.Image.Width} x {explanation.Image.Height} pixels, in {grid.Rows} x {grid.Columns} patches of {config.PatchSize} x {config.PatchSize} pixels. "
            + $"Heat maps run from dark blue (low) to yellow (high).</p>"
            + (explanation.PredictedLabel is { } predicted
                ? $"<p>It takes the image for <b>{ReportPage.Encode(predicted)}</b>, with a probability of {Percent(explanation.Probabilities!.Max())}.</p>"
                : "");
        List<ReportSection> sections = [Patching(explainer, explanation), Attention(explanation, patch), Embeddings(explanation, patch)];
        if (explanation.Labels is not null || label is not null)
            sections.Add(WhyThisLabel(explanation, label));
        return new ReportPage($"What the model sees{name}", lead, sections);
    }

    private static ReportSection Patching(SiglipExplainer explainer, SiglipExplanation explanation)
    {
        int size = explainer.Config.PatchSize, patches = explanation.PatchGrid.Count, hidden = explainer.Config.HiddenSize;
        return new ReportSection(
            "1. The image becomes patches",
            "A vision transformer does not look at pixels one by one, and it has no idea of shapes at first. It cuts the image into squares, the patches, which are to it "
            + "what words are to a language model.",
            [
                new("image.png", PictureSize.Fit(explanation.Image, 512), "The image as the model sees it",
                    $"Resized to {explanation.Image.Width} x {explanation.Image.Height} pixels, whatever its size was, and enlarged again for this page. What cannot be made out here, the model cannot see "
                    + "either."),
                new("patch-grid.png", explanation.DrawPatchGrid(), "The patches",
                    $"{patches} patches of {size} x {size} pixels, numbered as the model counts them. The numbers at the edges are rows and columns: a patch is named by them on the "
                    + "command line, as <code>--patch row,column</code>."),
                new("patch-sequence.png", explanation.DrawPatchSequence(), "The patches as a sequence",
                    $"This is what goes in: a row of {patches} patches, each of which is a list of {size} x {size} x 3 = {size * size * 3} numbers. Read it line by line. Nothing says any more which patch was beside "
                    + "which; that is what position embeddings are for (below)."),
                new("patch-filters.png", explainer.DrawPatchFilters(), "The patch filters",
                    $"Each patch becomes an embedding: a list of {hidden} numbers. Every number says how much the patch looks like one of these {hidden} learned filters"
                    + (hidden > 128 ? " (the first 128 are shown)" : "") + ". Grey is zero. Stripes and spots answer to edges and textures, plain colours to the colour of the patch."),
                new("patch-filter-components.png", explainer.DrawPatchFilterComponents(), "What the filters have in common",
                    "The principal components of the filters: a few patterns of which all filters are mixtures, the most frequent ones first. They look like the building "
                    + "blocks of image compression: plain areas, slopes, then finer and finer waves."),
                new("position-similarity.png", explainer.DrawPositionSimilarities(), "The position embeddings",
                    "To each patch the model adds an embedding of its position, which it has learned from images alone. There is a tile for each position, at its place; it shows how similar (cosine) its "
                    + $"embedding is to those of all positions. {OwnScale} A bright spot at the tile's own place, brighter around it than far away, means that the model "
                    + "knows which places are near to each other."),
            ]);
    }

    private static ReportSection Attention(SiglipExplanation explanation, (int Row, int Column) patch)
    {
        int index = explanation.PatchGrid.IndexOf(patch.Row, patch.Column);
        SiglipPatchMap ofPatch = explanation.GetRollout(patch.Row, patch.Column), ofImage = explanation.GetRollout();
        List<ReportFigure> figures =
        [
            new("attention-patch.png", explanation.DrawAttention(patch.Row, patch.Column), $"Where patch {patch.Row},{patch.Column} looks",
                $"A tile for each layer (from top to bottom) and head (from left to right), over the image: how much the patch in the red frame takes from each patch. {OwnScale} Heads of the first layers often look "
                + "at neighbours, or at a direction; later ones at patches that belong to the same thing, wherever they are."),
        ];
        if (explanation.ProbeAttention is not null)
        {
            SiglipPatchMap mean = explanation.GetProbeAttention();
            figures.Add(new("attention-probe-heads.png", explanation.DrawProbeAttention(), "Where the pooling head looks, head by head",
                $"At the end one embedding is made of all patches: a learned vector, the probe, attends to them. A tile for each of its heads. {OwnScale}"));
            figures.Add(new("attention-probe.png", mean.DrawOver(explanation.Image), "Where the pooling head looks",
                "The mean of its heads: how much each patch is worth to the embedding of the image. The numbers of all patches sum to 1.", ReportPage.Scale(mean)));
        }

        figures.Add(new("attention-rollout-patch.png", AttentionPictures.WithFrame(ofPatch.DrawOver(explanation.Image), explanation.PatchGrid, index), $"Attention rollout of patch {patch.Row},{patch.Column}",
            "Attention of one layer says what is taken from the layer before, where patches are mixtures already. Rollout follows it through all layers down to the image (Abnar and Zuidema, 2020): what "
            + "the last layer has in the red frame comes from the bright patches.", ReportPage.Scale(ofPatch)));
        figures.Add(new("attention-rollout.png", ofImage.DrawOver(explanation.Image), "Attention rollout of the image",
            (explanation.ProbeAttention is null ? "The same for the mean of all patches" : "The same for the embedding of the image, starting with the pooling head")
            + ". It says where information comes from, whatever it is good for; the relevance of a label, if there is one below, says what speaks for it.", ReportPage.Scale(ofImage)));
        figures.Add(new("attention-distance.png", explanation.DrawAttentionDistances(), "How far the heads look",
            "A blue point for each head, over the number of its layer: the mean distance between a patch and those that it attends to, in pixels, weighted by attention (Dosovitskiy et al., "
            + "2021). The orange line is the mean of the heads. Low points are heads that look at what is near, as a convolution does; high ones look at the whole image."));
        return new ReportSection(
            "2. Self-attention",
            "In every layer each patch collects information from all patches. How much it takes from which one is its attention: numbers that sum to 1. A layer has several heads, each of which attends in "
            + "its own way.",
            figures);
    }

    private static ReportSection Embeddings(SiglipExplanation explanation, (int Row, int Column) patch)
    {
        SiglipPatchMap similarity = explanation.GetSimilarity(patch.Row, patch.Column);
        return new ReportSection(
            "3. Output embeddings",
            "After the last layer each patch has an embedding that says what it is in this image, not only what its pixels are. Searching, clustering and classifying work with these numbers.",
            [
                new("embedding-components.png", explanation.DrawEmbeddings(), "The patch embeddings as colours",
                    "The three principal components, along which this image's patches differ most, as red, green and blue. Patches of the same colour are the same kind of thing to the model. Which colour it is means "
                    + "nothing, and colours of two images cannot be compared."),
                new("embedding-similarity.png",
                    AttentionPictures.WithFrame(similarity.DrawOver(explanation.Image), explanation.PatchGrid, explanation.PatchGrid.IndexOf(patch.Row, patch.Column)),
                    $"What is similar to patch {patch.Row},{patch.Column}",
                    "The cosine between the embedding of the patch in the red frame and that of each patch: 1 is the same direction, 0 nothing in common.", ReportPage.Scale(similarity)),
            ]);
    }

    private static ReportSection WhyThisLabel(SiglipExplanation explanation, string? label)
    {
        const int Shown = 5;
        SiglipPatchMap relevance = explanation.GetRelevance(label);
        string rows = string.Concat(explanation.Labels!.Zip(explanation.Probabilities!).OrderByDescending(pair => pair.Second).Take(Shown)
            .Select(pair => $"<tr><td>{ReportPage.Encode(pair.First)}</td><td>{Percent(pair.Second)}</td></tr>"));
        return new ReportSection(
            "4. Why this label?",
            $"A classifier has turned the embedding into probabilities.</p><table>{rows}</table><p>",
            [
                new("relevance.png", relevance.DrawOver(explanation.Image), $"What speaks for {label ?? explanation.PredictedLabel}",
                    "How much the label's score would rise with each number of a patch's embedding (the gradient), times that number, summed over the patch (gradient times input, Shrikumar et al., 2016). Bright patches speak for the label; what "
                    + "speaks against it is not shown. A label with its reason in the background is a hint that the model has learned the background.", ReportPage.Scale(relevance)),
            ]);
    }

    private static string Count(int number, string noun) => number == 1 ? $"1 {noun}" : $"{number} {noun}s";

    private static string Percent(float share) => share.ToString("P1", CultureInfo.InvariantCulture);
}
