namespace Siglip.Core;

/// <summary>A data set of image folders, with or without a division into training and validation, as ImageNet has it.</summary>
/// <param name="Training">The images to learn from.</param>
/// <param name="Validation">The images to measure with while training, with the same classes; null if the folder is not divided, or has none.</param>
/// <param name="TestFolder">The folder of the images that training does not look at; null if there is none. It is not opened.</param>
public sealed record ImageFolderSplits(ImageFolderDataset Training, ImageFolderDataset? Validation, string? TestFolder)
{
    private static readonly string[] TrainingNames = ["train", "training"];
    private static readonly string[] ValidationNames = ["val", "valid", "validation"];
    private static readonly string[] TestNames = ["test", "testing"];

    /// <summary>Lists the images of a folder; no image is read.</summary>
    /// <param name="folder">
    /// Either class folders (<c>FOLDER/cat/1.jpg</c>), or <c>train</c> (or <c>training</c>) with class folders in it, and perhaps <c>val</c> (<c>valid</c>,
    /// <c>validation</c>) and <c>test</c> (<c>testing</c>) beside it, in any letter case. It counts as divided only if it has a training folder and no folder of
    /// another name, so that a class may be called train.
    /// </param>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="InvalidDataException">
    /// It holds no class folders, only one, or one without an image; the classes of training and validation differ; or a part is there under two names.
    /// </exception>
    public static ImageFolderSplits Open(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        string[] names = FoldersIn(folder);
        if (!IsDivided(names))
            return new ImageFolderSplits(ImageFolderDataset.Open(folder), null, null);

        string training = Find(TrainingNames)!;
        string? validation = Find(ValidationNames), test = Find(TestNames);
        var splits = new ImageFolderSplits(
            ImageFolderDataset.Open(training), validation is null ? null : ImageFolderDataset.Open(validation, minimumClasses: 1), test);
        splits.Validation?.RequireClassesOf(splits.Training);
        return splits;

        string? Find(string[] meant)
        {
            string[] found = [.. names.Where(name => meant.Contains(name, StringComparer.OrdinalIgnoreCase)).Order(StringComparer.Ordinal)];
            return found.Length <= 1
                ? found.Select(name => Path.Combine(folder, name)).SingleOrDefault()
                : throw new InvalidDataException($"The folder '{folder}' holds {string.Join(" and ", found)}, which mean the same; keep one of them.");
        }
    }

    /// <summary>Whether a folder is divided, so that its own folders are not classes.</summary>
    internal static bool IsDivided(string folder) => IsDivided(FoldersIn(folder));

    private static string[] FoldersIn(string folder) =>
        Directory.Exists(folder) ? [.. Directory.EnumerateDirectories(folder).Select(path => Path.GetFileName(path)).Where(name => !name.StartsWith('.'))] : [];

    private static bool IsDivided(string[] names) =>
        names.Any(name => TrainingNames.Contains(name, StringComparer.OrdinalIgnoreCase))
        && names.All(name => TrainingNames.Concat(ValidationNames).Concat(TestNames).Contains(name, StringComparer.OrdinalIgnoreCase));
}
