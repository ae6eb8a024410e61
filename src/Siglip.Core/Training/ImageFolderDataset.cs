namespace Siglip.Core;

/// <summary>One image file and its class.</summary>
/// <param name="Path">The file.</param>
/// <param name="Label">Index into <see cref="ImageFolderDataset.Labels"/>.</param>
public sealed record LabeledImage(string Path, int Label);

/// <summary>Images in class folders: <c>FOLDER/cat/1.jpg</c>, <c>FOLDER/dog/7.png</c>. The folders' names are the labels.</summary>
/// <remarks>The layout of ImageNet and of torchvision's ImageFolder. Labels and files are in ordinal order, on every system the same. Names that
/// start with a dot are left out, and so is what links below a class folder to another folder.</remarks>
public sealed class ImageFolderDataset : ILabeledImages
{
    private ImageFolderDataset(string folder, IReadOnlyList<string> labels, IReadOnlyList<LabeledImage> images, IReadOnlyList<string> leftOut) =>
        (Folder, Labels, Images, LeftOut) = (folder, labels, images, leftOut);

    /// <summary>The folder of class folders.</summary>
    public string Folder { get; }

    /// <summary>The classes' names, in ordinal order.</summary>
    public IReadOnlyList<string> Labels { get; }

    /// <summary>The images, class by class.</summary>
    public IReadOnlyList<LabeledImage> Images { get; }

    /// <inheritdoc/>
    public int Count => Images.Count;

    /// <summary>Files in the class folders whose names do not end like those of images.</summary>
    internal IReadOnlyList<string> LeftOut { get; }

    /// <summary>Lists the images of a folder of class folders; no image is read.</summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="InvalidDataException">It holds no class folders, only one, or a class folder without an image.</exception>
    public static ImageFolderDataset Open(string folder) => Open(folder, minimumClasses: 2);

    /// <summary>Lists the images of a folder of class folders; no image is read.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="minimumClasses">The number of classes needed: 2 to train with, 1 to measure with.</param>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="InvalidDataException">It holds fewer class folders, or a class folder without an image.</exception>
    public static ImageFolderDataset Open(string folder, int minimumClasses)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        const string Expected = "expected one folder per class with images in it, such as cat/1.jpg and dog/2.jpg";
        if (!Directory.Exists(folder))
            throw new DirectoryNotFoundException($"The folder '{folder}' does not exist; {Expected}.");

        string[] classFolders = [.. Directory.EnumerateDirectories(folder)
            .Where(path => !Path.GetFileName(path).StartsWith('.')).Order(StringComparer.Ordinal)];
        if (classFolders.Length == 0)
        {
            bool empty = !Directory.EnumerateFileSystemEntries(folder).Any();
            throw new InvalidDataException($"The folder '{folder}' {(empty ? "is empty" : "has no class folders")}; {Expected}.");
        }

        if (ImageFolderSplits.IsDivided(folder))
            throw new InvalidDataException($"The folder '{folder}' is divided into {string.Join(", ", classFolders.Select(Path.GetFileName))}, expected class folders; name "
                + "one of its parts.");

        if (classFolders.Length < minimumClasses)
            throw new InvalidDataException($"The folder '{folder}' has one class only, '{Path.GetFileName(classFolders[0])}'; a classifier needs at "
                + "least two: add a folder for each further class.");

        var images = new List<LabeledImage>();
        var leftOut = new List<string>();
        for (int label = 0; label < classFolders.Length; label++)
        {
            var files = ImageFiles.Find(classFolders[label]);
            if (files.Images.Count == 0)
                throw new InvalidDataException($"The class folder '{classFolders[label]}' holds no images (files ending in "
                    + $"{ImageFiles.AllExtensions}); add some, or remove the folder.");
            images.AddRange(files.Images.Select(file => new LabeledImage(file, label)));
            leftOut.AddRange(files.LeftOut);
        }

        return new ImageFolderDataset(folder, [.. classFolders.Select(path => Path.GetFileName(path)!)], images, leftOut);
    }

    /// <summary>Whether a file's name ends like that of an image that can be decoded.</summary>
    public static bool IsImageFile(string path) => ImageFiles.IsImage(path);

    /// <inheritdoc/>
    public int LabelOf(int index) => Images[index].Label;

    /// <inheritdoc/>
    public string NameOf(int index) => $"'{Images[index].Path}'";

    /// <inheritdoc/>
    public RgbImage Load(int index) => RgbImage.Load(Images[index].Path);

    /// <summary>Checks that these images have the same classes as those that a model learns from.</summary>
    /// <exception cref="InvalidDataException">They have others; the message lists the differences.</exception>
    internal void RequireClassesOf(ImageFolderDataset training)
    {
        string[] missing = [.. training.Labels.Except(Labels)], unknown = [.. Labels.Except(training.Labels)];
        if (missing.Length + unknown.Length == 0)
            return;
        string[] differences =
        [
            .. missing.Length == 0 ? [] : (string[])[$"{Listed(missing)} {(missing.Length == 1 ? "is" : "are")} only in the former"],
            .. unknown.Length == 0 ? [] : (string[])[$"{Listed(unknown)} {(unknown.Length == 1 ? "is" : "are")} only in the latter"],
        ];
        throw new InvalidDataException($"The class folders of '{training.Folder}' (training) and '{Folder}' (validation) differ: {string.Join(", ", differences)}; "
            + "expected the same names in both: add, rename or remove folders.");
    }

    /// <summary>Divides the images at random, class by class, so that both parts have the classes in the same proportion.</summary>
    /// <param name="heldOutShare">Share of each class that is held out: above 0, below 1; at least one image of each class is in each part.</param>
    /// <param name="seed">The same seed gives the same parts.</param>
    /// <exception cref="InvalidDataException">A class has one image only.</exception>
    public (ImageFolderDataset Kept, ImageFolderDataset HeldOut) Split(double heldOutShare, int seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(heldOutShare, 0);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(heldOutShare, 1);
        var random = new Random(seed);
        List<LabeledImage> kept = [], heldOut = [];
        foreach (var group in Images.GroupBy(image => image.Label))
        {
            LabeledImage[] images = [.. group];
            if (images.Length < 2)
                throw new InvalidDataException($"The class '{Labels[group.Key]}' has one image only, at least two are needed: one to train on and one "
                    + "to test with; add images, or hold none out.");
            random.Shuffle(images);
            int count = Math.Clamp((int)Math.Round(images.Length * heldOutShare), 1, images.Length - 1);
            heldOut.AddRange(images[..count]);
            kept.AddRange(images[count..]);
        }

        return (new ImageFolderDataset(Folder, Labels, kept, LeftOut), new ImageFolderDataset(Folder, Labels, heldOut, LeftOut));
    }

    private static string Listed(string[] names)
    {
        const int Shown = 20;
        return string.Join(", ", names.Take(Shown).Select(name => $"'{name}'")) + (names.Length > Shown ? $" and {names.Length - Shown} more" : "");
    }
}
