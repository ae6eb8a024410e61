using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>What explanations say is what the model computes.</summary>
[TestClass]
public sealed class SiglipExplanationTests
{
    private const double Tolerance = 1e-5; // above float32 noise of numbers up to 10; a transposed or shifted map is off by more than 1e-2

    private static RgbImage Photo => RgbImage.Load(ReferenceModels.PathOf("preprocess", "images", "photo_420.jpg"));

    [TestMethod]
    public void The_arrays_are_the_models_outputs()
    {
        using var explainer = SiglipExplainer.FromPretrained("nano");
        SiglipExplanation explanation = explainer.Explain(Photo);
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained("nano");
        using SiglipForImageClassification classifier = SiglipForImageClassification.FromPretrained("nano");
        using var noGradients = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor pixelValues = tensor(new SiglipImageProcessor(model.ProcessorConfig!).Preprocess(Photo), [1, 3, 32, 32]);
        SiglipVisionOutput output = model.Forward(pixelValues, new SiglipForwardOptions { OutputAttentions = true, OutputHiddenStates = true });

        Assert.HasCount(6, explanation.Attentions);
        Assert.AreEqual((8, 8, 4), (explanation.PatchGrid.Rows, explanation.PatchGrid.Columns, explanation.Heads));
        for (int layer = 0; layer < 6; layer++)
            AssertClose(output.Attentions![layer], explanation.Attentions[layer]);
        Assert.HasCount(7, explanation.HiddenStates);
        for (int i = 0; i < 7; i++)
            AssertClose(output.HiddenStates![i], explanation.HiddenStates[i]);
        AssertClose(output.LastHiddenState, explanation.LastHiddenState);
        AssertClose(output.PoolerOutput!, explanation.PoolerOutput!);
        AssertClose(classifier.call(pixelValues).softmax(-1), explanation.Probabilities!);
        CollectionAssert.AreEqual(classifier.Labels.ToArray(), explanation.Labels!.ToArray());
    }

    [TestMethod]
    public void The_image_is_what_the_pixel_values_are_made_of()
    {
        using var explainer = SiglipExplainer.FromPretrained("nano");
        RgbImage image = explainer.Explain(Photo).Image;

        var processor = new SiglipImageProcessor(new SiglipImageProcessorConfig { Height = 32, Width = 32 });
        CollectionAssert.AreEqual(processor.Preprocess(Photo), processor.Preprocess(image)); // of the size already, it stays as it is
    }

    [TestMethod]
    public void Pixels_that_make_no_whole_patch_are_not_shown()
    {
        using var explainer = SiglipExplainer.FromPretrained("nano", new SiglipImageEmbedderOptions { InterpolatePositionEncoding = true, ImageHeight = 30, ImageWidth = 50 });
        SiglipExplanation explanation = explainer.Explain(Photo);

        Assert.AreEqual((28, 48), (explanation.Image.Height, explanation.Image.Width));
        Assert.AreEqual((7, 12), (explanation.PatchGrid.Rows, explanation.PatchGrid.Columns));
        Assert.AreEqual(7 * 12, explanation.GetRollout().Values.Length);
    }

    /// <summary>The probe's weights, by the values and the output projection read from the weights, give the pooled embedding.</summary>
    [TestMethod]
    public void The_probes_attention_gives_the_pooled_embedding()
    {
        using var explainer = SiglipExplainer.FromPretrained("nano");
        SiglipExplanation explanation = explainer.Explain(Photo);
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained("nano");
        using var noGradients = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Dictionary<string, Tensor> weights = model.state_dict();
        Tensor Of(string name) => weights["vision_model.head." + name];

        Tensor last = tensor(explanation.LastHiddenState, [64, 128]).clone(), probe = tensor(explanation.ProbeAttention!, [4, 1, 64]).clone();
        Tensor values = last.matmul(Of("attention.in_proj_weight")[256..].t()) + Of("attention.in_proj_bias")[256..]; // [patches, hidden]
        Tensor heads = probe.matmul(values.reshape(64, 4, 32).transpose(0, 1)); // [heads, 1, headSize]
        Tensor pooled = nn.functional.linear(heads.transpose(0, 1).reshape(1, 128), Of("attention.out_proj.weight"), Of("attention.out_proj.bias"));
        Tensor normalized = nn.functional.layer_norm(pooled, [128], Of("layernorm.weight"), Of("layernorm.bias"), 1e-6);
        Tensor expanded = nn.functional.gelu(nn.functional.linear(normalized, Of("mlp.fc1.weight"), Of("mlp.fc1.bias")), TorchSharp.Modules.GELU.Approximate.tanh);
        AssertClose(pooled + nn.functional.linear(expanded, Of("mlp.fc2.weight"), Of("mlp.fc2.bias")), explanation.PoolerOutput!);
    }

    [TestMethod]
    public void Maps_are_rows_of_the_attention_weights()
    {
        using var explainer = SiglipExplainer.FromPretrained("nano");
        SiglipExplanation explanation = explainer.Explain(Photo);

        SiglipPatchMap map = explanation.GetAttention(layer: 3, row: 2, column: 5, head: 1);
        float[] expected = explanation.Attentions[3][(((1 * 64) + 21) * 64)..(((1 * 64) + 22) * 64)];
        CollectionAssert.AreEqual(expected, map.Values.ToArray());
        Assert.AreEqual(expected[(7 * 8) + 6], map[7, 6]);

        SiglipPatchMap mean = explanation.GetAttention(layer: 3, row: 2, column: 5);
        Assert.AreEqual(Enumerable.Range(0, 4).Average(head => explanation.GetAttention(3, 2, 5, head)[7, 6]), mean[7, 6], 1e-7);
        foreach (SiglipPatchMap sumsToOne in (SiglipPatchMap[])[map, mean, explanation.GetProbeAttention(), explanation.GetProbeAttention(3), explanation.GetRollout(), explanation.GetRollout(0, 0)])
            Assert.AreEqual(1, sumsToOne.Values.ToArray().Sum(), Tolerance);
    }

    [TestMethod]
    public void Rollout_is_the_product_of_the_layers_matrices()
    {
        using var explainer = SiglipExplainer.FromPretrained("nano");
        SiglipExplanation explanation = explainer.Explain(Photo);
        using DisposeScope scope = NewDisposeScope();
        Tensor rollout = eye(64, dtype: float64);
        foreach (float[] weights in explanation.Attentions)
            rollout = ((tensor(weights, [4, 64, 64], float64).mean([0]) + eye(64, dtype: float64)) / 2).matmul(rollout);

        AssertClose(rollout[21], explanation.GetRollout(2, 5).Values.ToArray());
        AssertClose(tensor(explanation.ProbeAttention!, [4, 64], float64).mean([0]).matmul(rollout), explanation.GetRollout().Values.ToArray());
    }

    [TestMethod]
    public void Attention_to_itself_has_no_distance_and_equal_attention_that_of_all_patches()
    {
        SiglipPatchGrid grid = new(2, 3);
        float[] identity = [.. Enumerable.Range(0, 36).Select(i => i / 6 == i % 6 ? 1f : 0)], uniform = [.. Enumerable.Repeat(1 / 6f, 36)];
        float[] neighbour = [.. Enumerable.Range(0, 36).Select(i => i % 6 == (i / 6 / 3 * 3) + (((i / 6 % 3) + 1) % 3) ? 1f : 0)]; // the next column, and from the last one the first
        SiglipExplanation explanation = Constructed(grid, patchSize: 16, heads: 3, [[.. identity, .. uniform, .. neighbour]]);

        Assert.AreEqual(0, explanation.GetAttentionDistance(0, 0), 1e-9);

        // By hand, of two rows and three columns: 36 pairs, of which 6 are 0, 6 a row, 8 a column, 8 the diagonal, 4 two columns, 4 two columns and a row apart.
        double expected = ((6 * 1) + (8 * 1) + (8 * Math.Sqrt(2)) + (4 * 2) + (4 * Math.Sqrt(5))) / 36 * 16;
        Assert.AreEqual(expected, explanation.GetAttentionDistance(0, 1), 1e-5);
        Assert.AreEqual((1 + 1 + 2) / 3.0 * 16, explanation.GetAttentionDistance(0, 2), 1e-9);
    }

    [TestMethod]
    public void Similarity_is_the_cosine_of_the_last_hidden_states()
    {
        using var explainer = SiglipExplainer.FromPretrained("nano");
        SiglipExplanation explanation = explainer.Explain(Photo);
        SiglipPatchMap map = explanation.GetSimilarity(2, 5);
        using DisposeScope scope = NewDisposeScope();
        Tensor last = tensor(explanation.LastHiddenState, [64, 128], float64);

        AssertClose(nn.functional.cosine_similarity(last, last[21..22], 1, 1e-12), map.Values.ToArray());
        Assert.AreEqual(1, map[2, 5], Tolerance);
    }

    [TestMethod]
    public void Positions_are_compared_by_the_cosine_of_their_embeddings()
    {
        const int Row = 2, Column = 5;
        using var explainer = SiglipExplainer.FromPretrained("nano");
        using SiglipVisionModel model = SiglipVisionModel.FromPretrained("nano");
        using var noGradients = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor positions = model.state_dict()["vision_model.embeddings.position_embedding.weight"]; // [64, 128]
        Tensor chosen = positions[(Row * 8) + Column];

        AssertClose(positions.matmul(chosen) / (positions.norm(1) * chosen.norm()), explainer.GetPositionSimilarity(Row, Column).Values.ToArray());
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => explainer.GetPositionSimilarity(8, 0));
    }

    [TestMethod]
    public void A_model_with_variable_resolution_shows_the_images_patches_only()
    {
        string folder = ReferenceModels.PathOf("naflex");
        RgbImage photo = Photo;
        using var explainer = SiglipExplainer.FromPretrained(folder);
        SiglipExplanation explanation = explainer.Explain(photo);
        using var embedder = SiglipImageEmbedder.FromPretrained(folder);
        SiglipImageEmbeddings embeddings = embedder.EmbedBatch([photo], SiglipEmbeddingOutputs.PatchEmbeddings | SiglipEmbeddingOutputs.PooledEmbedding);
        int patches = explanation.PatchGrid.Count;

        Assert.AreEqual(embeddings.PatchGrids[0], explanation.PatchGrid);
        Assert.IsLessThan(embedder.PatchCount, patches, "the test needs an image with padding");
        Assert.AreEqual((explanation.PatchGrid.Rows * 8, explanation.PatchGrid.Columns * 8), (explanation.Image.Height, explanation.Image.Width));
        AssertClose(embeddings.Get(SiglipEmbeddingOutputs.PooledEmbedding, 0).ToArray(), explanation.PoolerOutput!);
        AssertClose(embeddings.Get(SiglipEmbeddingOutputs.PatchEmbeddings, 0)[..(patches * explainer.Config.HiddenSize)].ToArray(), explanation.LastHiddenState);
        Assert.AreEqual(explanation.Heads * patches * patches, explanation.Attentions[0].Length);
        Assert.AreEqual(1, explanation.GetRollout().Values.ToArray().Sum(), Tolerance);
        Assert.IsNull(explanation.PredictedLabel);
        Assert.AreEqual(explanation.Image.Width * (512 / Math.Max(explanation.Image.Width, explanation.Image.Height)), explanation.DrawEmbeddings().Width);
        Assert.IsGreaterThan(0, explainer.DrawPatchFilters().Width);
        Assert.IsGreaterThan(0, explainer.DrawPositionSimilarities().Width);
    }

    [TestMethod]
    public void A_model_without_a_pooling_head_starts_with_the_mean_of_all_patches()
    {
        using var explainer = SiglipExplainer.FromPretrained(ReferenceModels.Folder("no_head"));
        SiglipExplanation explanation = explainer.Explain(Photo);
        int patches = explanation.PatchGrid.Count;
        using DisposeScope scope = NewDisposeScope();
        Tensor rollout = eye(patches, dtype: float64);
        foreach (float[] weights in explanation.Attentions)
            rollout = ((tensor(weights, [explanation.Heads, patches, patches], float64).mean([0]) + eye(patches, dtype: float64)) / 2).matmul(rollout);

        AssertClose(rollout.mean([0]), explanation.GetRollout().Values.ToArray());
        Assert.IsNull(explanation.PoolerOutput);
        Assert.Contains("no pooling head", Assert.ThrowsExactly<InvalidOperationException>(() => explanation.GetProbeAttention()).Message);
    }

    [TestMethod]
    [DataRow(SiglipPrecision.BFloat16)]
    [DataRow(SiglipPrecision.Float16)]
    public void Other_precisions_say_nearly_the_same(SiglipPrecision precision)
    {
        using var single = SiglipExplainer.FromPretrained("nano");
        using var half = SiglipExplainer.FromPretrained("nano", new SiglipImageEmbedderOptions { Precision = precision });
        SiglipExplanation expected = single.Explain(Photo), actual = half.Explain(Photo);

        foreach ((float one, float other) in expected.GetRollout().Values.ToArray().Zip(actual.GetRollout().Values.ToArray()))
            Assert.AreEqual(one, other, 0.01 * expected.GetRollout().Max);
        double largest = expected.GetRelevance().Max;
        foreach ((float one, float other) in expected.GetRelevance().Values.ToArray().Zip(actual.GetRelevance().Values.ToArray()))
            Assert.AreEqual(one, other, 0.2 * largest);
    }

    [TestMethod]
    public void Path_bytes_and_image_give_the_same()
    {
        string path = ReferenceModels.PathOf("preprocess", "images", "photo_420.jpg");
        using var explainer = SiglipExplainer.FromPretrained("nano");

        float[] expected = explainer.Explain(path).LastHiddenState;
        CollectionAssert.AreEqual(expected, explainer.Explain(File.ReadAllBytes(path)).LastHiddenState);
        CollectionAssert.AreEqual(expected, explainer.Explain(RgbImage.Load(path)).LastHiddenState);
    }

    [TestMethod]
    public void What_cannot_be_explained_is_one_sentence()
    {
        using var explainer = SiglipExplainer.FromPretrained("nano");
        SiglipExplanation explanation = explainer.Explain(Photo);
        using var without = SiglipExplainer.FromPretrained(ReferenceModels.Folder("vision_only"));

        Assert.Contains("expected 0 to 5", Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => explanation.GetAttention(6, 0, 0)).Message);
        Assert.Contains("expected 0 to 3", Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => explanation.GetAttention(0, 0, 0, 4)).Message);
        Assert.Contains("expected 0 to 3", Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => explanation.GetAttentionDistance(0, -1)).Message);
        Assert.Contains("rows are 0 to 7", Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => explanation.GetRollout(8, 0)).Message);
        Assert.Contains("no label 'dragon'; the labels are airplane, automobile,", Assert.ThrowsExactly<ArgumentException>(() => explanation.GetRelevance("dragon")).Message);
        Assert.Contains("no classifier", Assert.ThrowsExactly<InvalidOperationException>(() => without.Explain(Photo).GetRelevance()).Message);
        Assert.Contains("Precision is Int8", Assert.ThrowsExactly<ArgumentException>(
            () => SiglipExplainer.FromPretrained("nano", new SiglipImageEmbedderOptions { Precision = SiglipPrecision.Int8 })).Message);
        Assert.ThrowsExactly<FileNotFoundException>(() => explainer.Explain("missing.png"));
        Assert.Contains("the image", Assert.ThrowsExactly<InvalidDataException>(() => explainer.Explain(new byte[] { 1, 2, 3 })).Message);

        explainer.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(() => explainer.Explain(Photo));
        Assert.ThrowsExactly<ObjectDisposedException>(() => explanation.GetRelevance());
        Assert.ThrowsExactly<ObjectDisposedException>(() => explainer.DrawPatchFilters());
    }

    [TestMethod]
    public void Nothing_stays_in_memory()
    {
        Assert.AreEqual(0, TensorCount.LeftBy(() =>
        {
            using var explainer = SiglipExplainer.FromPretrained("nano");
            SiglipExplanation explanation = explainer.Explain(Photo);
            explanation.GetRelevance("cat");
            explanation.GetSimilarity(0, 0);
            explanation.DrawEmbeddings();
            explainer.DrawPatchFilters();
            explainer.DrawPatchFilterComponents();
            explainer.DrawPositionSimilarities();
        }));

        using var one = SiglipExplainer.FromPretrained("nano");
        RgbImage photo = Photo;
        Assert.AreEqual(0, TensorCount.LeftBy(() => one.Explain(photo).GetRelevance()));
        Assert.AreEqual(0, TensorCount.LeftBy(() => Assert.ThrowsExactly<ArgumentException>(() => one.Explain(photo).GetRelevance("dragon"))));
    }

    /// <summary>An explanation of given attention weights.</summary>
    internal static SiglipExplanation Constructed(SiglipPatchGrid grid, int patchSize, int heads, IReadOnlyList<float[]> attentions) => new(null!, [])
    {
        Image = new RgbImage(grid.Columns * patchSize, grid.Rows * patchSize, new byte[grid.Count * patchSize * patchSize * 3]),
        PatchGrid = grid,
        Heads = heads,
        Attentions = attentions,
        ProbeAttention = null,
        HiddenStates = [],
        LastHiddenState = new float[grid.Count],
        PoolerOutput = null,
        Labels = null,
        Probabilities = null,
    };

    private static void AssertClose(Tensor expected, float[] actual) => AssertClose(ReferenceModels.Values(expected), actual);

    private static void AssertClose(float[] expected, float[] actual)
    {
        Assert.HasCount(expected.Length, actual);
        for (int i = 0; i < expected.Length; i++)
            Assert.AreEqual(expected[i], actual[i], Tolerance);
    }
}
