using System.Globalization;
using SkiaSharp;

namespace Siglip.Core;

/// <summary>A map of images: two dimensions in which their embeddings differ most, with the classes in colours. Images that are near to each other have similar
/// embeddings; far ones need not be different in the other dimensions.</summary>
/// <example>
/// <code>
/// var dataset = ImageFolderDataset.Open("photos");
/// using var embedder = SiglipImageEmbedder.FromPretrained("nano");
/// var map = new SiglipEmbeddingMap(
///     [.. dataset.Images.Select(image => embedder.Embed(image.Path))],
///     [.. dataset.Images.Select(image => dataset.Labels[image.Label])]);
/// File.WriteAllBytes("map.png", map.Draw().ToPng());
/// </code>
/// </example>
public sealed class SiglipEmbeddingMap
{
    private const int Width = 960, Height = 720, Margin = 40;
    private const int ThumbnailSide = 40, FrameThickness = 3;
    private const int LabelDigits = 3;

    // Tableau's ten colours: as different as ten can be.
    private static readonly SKColor[] Colours =
    [
        new(0x4e, 0x79, 0xa7), new(0xe1, 0x57, 0x59), new(0x59, 0xa1, 0x4f), new(0xf2, 0x8e, 0x2b), new(0xb0, 0x7a, 0xa1),
        new(0x76, 0xb7, 0xb2), new(0x9c, 0x75, 0x5f), new(0xff, 0x9d, 0xa7), new(0xc5, 0xa5, 0x25), new(0x79, 0x70, 0x6e),
    ];

    private readonly int[] _classes; // of each image

    /// <summary>Computes the map.</summary>
    /// <param name="embeddings">The images' embeddings; at least one, all of the same length, finite. They are scaled to length 1, so that distances are those of angles.</param>
    /// <param name="labels">The class of each image.</param>
    /// <exception cref="ArgumentException">There is no embedding, their lengths differ, a value is not finite, or there is another number of labels.</exception>
    public SiglipEmbeddingMap(IReadOnlyList<float[]> embeddings, IReadOnlyList<string> labels)
    {
        ArgumentNullException.ThrowIfNull(embeddings);
        ArgumentNullException.ThrowIfNull(labels);
        if (embeddings.Count == 0)
            throw new ArgumentException("There are no embeddings.", nameof(embeddings));
        if (embeddings.Count != labels.Count)
            throw new ArgumentException($"There are {labels.Count} labels for {embeddings.Count} embeddings.", nameof(labels));
        int size = embeddings[0].Length;
        if (size == 0 || embeddings.Any(embedding => embedding.Length != size))
            throw new ArgumentException("The embeddings are empty or have different lengths.", nameof(embeddings));
        if (!embeddings.All(embedding => embedding.All(float.IsFinite)))
            throw new ArgumentException("An embedding has a value that is no finite number (NaN or infinity); leave out images that cannot be read.", nameof(embeddings));

        Classes = [.. labels.Distinct().Order(StringComparer.Ordinal)];
        Dictionary<string, int> numbers = Classes.Index().ToDictionary(pair => pair.Item, pair => pair.Index, StringComparer.Ordinal);
        _classes = [.. labels.Select(label => numbers[label])];
        var components = PrincipalComponents.Of([.. embeddings.SelectMany(Direction)], size, 2);
        Points = [.. components.Projections.Chunk(2).Select(pair => (pair[0], pair[1]))];
        ExplainedVariance = components.Shares.Sum();
    }

    /// <summary>The classes in ordinal order; their numbers on the map are their places here, from 0.</summary>
    public IReadOnlyList<string> Classes { get; }

    /// <summary>Where each image lies: its first two principal components, from the mean of all images.</summary>
    public IReadOnlyList<(float X, float Y)> Points { get; }

    /// <summary>The share of the embeddings' variance that the two dimensions show, from 0 to 1.</summary>
    public float ExplainedVariance { get; }

    /// <summary>Draws a point for each image in the colour of its class, and the number of each class in the middle of its points.</summary>
    public RgbImage Draw() => Draw((canvas, i, x, y) => canvas.Disc(x, y, 5, ColourOf(_classes[i]).WithAlpha(0xd0)));

    /// <summary>Draws each image, small and framed in the colour of its class, and the number of each class in the middle of its images.</summary>
    /// <param name="images">In the order of the embeddings; small ones do.</param>
    /// <exception cref="ArgumentException">There is another number of them.</exception>
    public RgbImage Draw(IReadOnlyList<RgbImage> images)
    {
        ArgumentNullException.ThrowIfNull(images);
        if (images.Count != Points.Count)
            throw new ArgumentException($"There are {images.Count} images, expected {Points.Count}.", nameof(images));
        return Draw((canvas, i, x, y) =>
        {
            RgbImage thumbnail = ToThumbnail(images[i]);
            (int left, int top) = ((int)x - (thumbnail.Width / 2), (int)y - (thumbnail.Height / 2));
            canvas.Draw(thumbnail, left, top);
            canvas.Frame(left, top, thumbnail.Width, thumbnail.Height, FrameThickness, ColourOf(_classes[i]));
        });
    }

    /// <summary>The map as HTML, for a notebook or a page: the picture, and which colour and number is which class.</summary>
    /// <param name="images">As for <see cref="Draw(IReadOnlyList{RgbImage})"/>; null for points.</param>
    public string ToHtml(IReadOnlyList<RgbImage>? images = null) => (images is null ? Draw() : Draw(images)).ToHtml("a map of the images") + Legend;

    /// <summary>Writes the map as a PNG file, and a page with it that explains what it shows: <c>report.html</c>, which needs no other file. The files appear when both
    /// are complete.</summary>
    /// <param name="folder">Created if it does not exist; files of these names in it are replaced.</param>
    /// <param name="images">As for <see cref="Draw(IReadOnlyList{RgbImage})"/>; null for points.</param>
    /// <returns>The files; the page is the first one.</returns>
    /// <exception cref="IOException">The folder cannot be written to.</exception>
    public IReadOnlyList<string> SaveReport(string folder, IReadOnlyList<RgbImage>? images = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var figure = new ReportFigure(
            "embedding-map.png", images is null ? Draw() : Draw(images), "The images by their embeddings",
            "Each embedding is a list of many numbers. The map shows the two directions in which these images differ most (principal components); they hold "
            + $"{ExplainedVariance.ToString("P0", CultureInfo.InvariantCulture)} of all differences. Images near to each other are similar to the model. Classes that lie apart are easy to tell from their embeddings; those that "
            + "overlap here may still differ in the directions that the map does not show.",
            Legend);
        return new ReportPage(
            "How the model sees these images",
            $"<p>{Points.Count} images of {Classes.Count} {(Classes.Count == 1 ? "class" : "classes")}.</p>",
            [new ReportSection("A map of the embeddings", "The model has turned each image into an embedding. Similar images have similar embeddings, whoever took them and whatever their files are called.", [figure])]).Save(folder);
    }

    /// <summary>An image as large as the map shows it.</summary>
    internal static RgbImage ToThumbnail(RgbImage image) => PictureSize.Fit(image, ThumbnailSide);

    // Which colour and number is which class.
    private string Legend => $"<ul style=\"list-style:none;padding:0\">{string.Concat(Classes.Select((name, i) =>
        $"<li style=\"display:inline-block;margin-right:1rem\"><b style=\"background:{Hexadecimal(ColourOf(i))};color:#fff;padding:0 .35rem\">{i}</b> {ReportPage.Encode(name)}</li>"))}</ul>";

    private static SKColor ColourOf(int number) => Colours[number % Colours.Length];

    private static string Hexadecimal(SKColor colour) => ReportPage.ColourOf((colour.Red, colour.Green, colour.Blue));

    private static IEnumerable<float> Direction(float[] embedding)
    {
        double length = Math.Sqrt(embedding.Sum(value => (double)value * value));
        return embedding.Select(value => length > 0 ? (float)(value / length) : 0);
    }

    private RgbImage Draw(Action<Canvas, int, float, float> drawImage)
    {
        // One scale for both directions, so that distances are true.
        (float lowX, float highX) = (Points.Min(point => point.X), Points.Max(point => point.X));
        (float lowY, float highY) = (Points.Min(point => point.Y), Points.Max(point => point.Y));
        float scale = Math.Min((Width - (2 * Margin)) / Math.Max(highX - lowX, 1e-6f), (Height - (2 * Margin)) / Math.Max(highY - lowY, 1e-6f));
        (float X, float Y)[] places = [.. Points.Select(point => (
            (Width / 2f) + ((point.X - ((lowX + highX) / 2)) * scale), (Height / 2f) - ((point.Y - ((lowY + highY) / 2)) * scale)))];
        using var canvas = new Canvas(Width, Height);
        for (int i = 0; i < places.Length; i++)
            drawImage(canvas, i, places[i].X, places[i].Y);
        foreach (var ofClass in places.Zip(_classes).GroupBy(pair => pair.Second, pair => pair.First))
        {
            int x = (int)ofClass.Average(place => place.X), y = (int)ofClass.Average(place => place.Y);
            int width = Canvas.WidthOf(ofClass.Key, LabelDigits) + (4 * LabelDigits), height = Canvas.HeightOf(LabelDigits) + (4 * LabelDigits);
            canvas.Fill(x - (width / 2) - 2, y - (height / 2) - 2, width + 4, height + 4, SKColors.White);
            canvas.Fill(x - (width / 2), y - (height / 2), width, height, ColourOf(ofClass.Key));
            canvas.CentredNumber(ofClass.Key, x, y, LabelDigits, SKColors.White);
        }

        return canvas.ToImage();
    }
}
