using TorchSharp;

namespace Siglip.Core.Tests;

/// <summary>Relevance lies on what the label is about: on images whose answer is known, as they are put together from a photo, on one half, and a background.</summary>
[TestClass]
public sealed class RelevanceTests
{
    private const int Side = 32; // of the photos

    private static readonly SiglipImageEmbedderOptions Wide = new() { InterpolatePositionEncoding = true, ImageHeight = Side, ImageWidth = 2 * Side };

    private static IEnumerable<string> Photos => Directory.EnumerateFiles(
        Path.Combine(AppContext.BaseDirectory, "samples", "cifar10-new"), "*.png", SearchOption.AllDirectories).Order(StringComparer.Ordinal);

    /// <summary>Of the canvases that the model classifies right. Where relevance says nothing, half of them and half of the mass would be on the photo's side.</summary>
    [TestMethod]
    public void Relevance_lies_on_the_half_where_the_object_is()
    {
        using var explainer = SiglipExplainer.FromPretrained("nano", Wide);
        List<double> ofLabel = [], ofLeastProbable = [];
        foreach ((SiglipExplanation explanation, string label, int x) in Canvases(explainer))
        {
            if (explanation.PredictedLabel != label)
                continue;
            ofLabel.Add(Share(explanation.GetRelevance(), x));
            ofLeastProbable.Add(Share(explanation.GetRelevance(explanation.Labels![Array.IndexOf(explanation.Probabilities!, explanation.Probabilities!.Min())]), x));
        }

        string found = $"{ofLabel.Count(share => share > 0.5)} of {ofLabel.Count}, mean {ofLabel.Average():P0}; of the least probable class {ofLeastProbable.Average():P0}";
        Console.WriteLine(found);
        Assert.IsGreaterThan(50, ofLabel.Count, found);
        Assert.IsGreaterThan(0.8 * ofLabel.Count, ofLabel.Count(share => share > 0.5), found);
        Assert.IsGreaterThan(0.65, ofLabel.Average(), found);
        Assert.IsLessThan(ofLabel.Average() - 0.05, ofLeastProbable.Average(), found);
    }

    [TestMethod]
    public void Relevance_of_a_model_that_has_learned_nothing_lies_anywhere()
    {
        using var folder = new TemporaryFolder();
        using (SiglipForImageClassification trained = SiglipForImageClassification.FromPretrained("nano"))
        {
            torch.manual_seed(1);
            using var untrained = new SiglipForImageClassification(trained.Config, trained.Labels);
            untrained.SavePretrained(folder.Path);
        }

        using var explainer = SiglipExplainer.FromPretrained(folder.Path, Wide);
        double[] shares = [.. Canvases(explainer).Select(canvas => Share(canvas.Explanation.GetRelevance(), canvas.X))];

        Console.WriteLine($"{shares.Average():P0}");
        Assert.IsLessThan(0.6, shares.Average());
    }

    /// <summary>Canvases with a photo on the left or the right; noise and a plain colour, which is the photo's mean, on the other half.</summary>
    private static IEnumerable<(SiglipExplanation Explanation, string Label, int X)> Canvases(SiglipExplainer explainer)
    {
        var random = new Random(1);
        foreach (string path in Photos)
        {
            RgbImage photo = RgbImage.Load(path);
            byte[] mean = [.. Enumerable.Range(0, 3).Select(channel => (byte)Enumerable.Range(0, Side * Side).Average(i => photo.Data[(3 * i) + channel]))];
            foreach (int x in (int[])[0, Side])
            {
                foreach (bool noise in (bool[])[true, false])
                {
                    byte[] pixels = new byte[Side * 2 * Side * 3];
                    for (int i = 0; i < pixels.Length; i++)
                        pixels[i] = noise ? (byte)random.Next(256) : mean[i % 3];
                    for (int row = 0; row < Side; row++)
                        photo.Data.Slice(row * Side * 3, Side * 3).CopyTo(pixels.AsSpan(((row * 2 * Side) + x) * 3));
                    yield return (explainer.Explain(new RgbImage(2 * Side, Side, pixels)), Path.GetFileName(Path.GetDirectoryName(path))!, x);
                }
            }
        }
    }

    // The share of a map's mass on the half that begins at this pixel.
    private static double Share(SiglipPatchMap map, int x)
    {
        double inside = 0, all = 0;
        for (int i = 0; i < map.Grid.Count; i++)
        {
            all += map.Values[i];
            if (i % map.Grid.Columns / (map.Grid.Columns / 2) == x / Side)
                inside += map.Values[i];
        }

        return all > 0 ? inside / all : 0.5;
    }
}
