namespace Siglip.Core.Tests;

[TestClass]
public sealed class SiglipEmbeddingMapTests
{
    private static readonly float[][] Embeddings = [[1, 0, 0], [0.9f, 0.1f, 0], [0, 1, 0], [0, 20, 2]];

    private static readonly string[] Labels = ["ship", "ship", "<frog>", "<frog>"];

    [TestMethod]
    public void Images_of_similar_direction_lie_near_to_each_other_whatever_the_length()
    {
        var map = new SiglipEmbeddingMap(Embeddings, Labels);

        CollectionAssert.AreEqual((string[])["<frog>", "ship"], map.Classes.ToArray());
        Assert.IsLessThan(0.25, Distance(0, 1));
        Assert.IsLessThan(0.25, Distance(2, 3));
        Assert.IsGreaterThan(1, Distance(0, 2));
        Assert.IsTrue(map.ExplainedVariance is > 0.99f and <= 1.000001f);
        Assert.AreEqual(0, map.Points.Sum(point => point.X), 1e-5);

        double Distance(int one, int other) => double.Hypot(map.Points[one].X - map.Points[other].X, map.Points[one].Y - map.Points[other].Y);
    }

    [TestMethod]
    public void One_image_or_equal_ones_are_a_map_too()
    {
        Assert.AreEqual((0f, 0f), new SiglipEmbeddingMap([[1, 2]], ["a"]).Points[0]);
        Assert.AreEqual((960, 720), (new SiglipEmbeddingMap([[1, 2], [1, 2], [0, 0]], ["a", "a", "b"]).Draw() is var picture ? picture.Width : 0, 720));
    }

    [TestMethod]
    public void What_makes_no_map_is_one_sentence()
    {
        Refused("no embeddings", [], []);
        Refused("1 labels for 2 embeddings", [[1], [2]], ["a"]);
        Refused("different lengths", [[1], [2, 3]], ["a", "b"]);
        Refused("no finite number", [[1], [float.NaN]], ["a", "b"]);
        Assert.Contains("1 images, expected 4", Assert.ThrowsExactly<ArgumentException>(
            () => new SiglipEmbeddingMap(Embeddings, Labels).Draw([new RgbImage(1, 1, new byte[3])])).Message);

        static void Refused(string sentence, float[][] embeddings, string[] labels) =>
            Assert.Contains(sentence, Assert.ThrowsExactly<ArgumentException>(() => new SiglipEmbeddingMap(embeddings, labels)).Message);
    }

    [TestMethod]
    public void The_page_has_the_map_and_names_the_classes_as_text()
    {
        using var folder = new TemporaryFolder();
        var map = new SiglipEmbeddingMap(Embeddings, Labels);
        RgbImage[] images = [.. Enumerable.Range(0, 4).Select(i => new RgbImage(2, 2, [.. Enumerable.Repeat((byte)(60 * i), 12)]))];
        IReadOnlyList<string> files = map.SaveReport(folder.File("map"), images);

        CollectionAssert.AreEqual((string[])["report.html", "embedding-map.png"], files.Select(Path.GetFileName).ToArray());
        string page = File.ReadAllText(files[0]);
        Assert.Contains("&lt;frog&gt;", page);
        Assert.DoesNotContain("<frog>", page);
        CollectionAssert.AreEqual(map.Draw(images).Data.ToArray(), RgbImage.Load(files[1]).Data.ToArray());
        Assert.Contains("&lt;frog&gt;", map.ToHtml());
    }
}
