using Siglip.Core;

namespace Siglip.Cli;

/// <summary>The image files that a command line names: files, folders, and lists of them.</summary>
internal static class ImageInputs
{
    private const int Shown = 5;

    /// <summary>Lists the files in the order given; those of a folder and its subfolders in ordinal order, hidden ones left out.</summary>
    /// <param name="inputs">Files; folders; <c>@list.txt</c>: a file with one input per line.</param>
    /// <exception cref="FileNotFoundException">There is no such list.</exception>
    /// <exception cref="InvalidDataException">There is no image at all.</exception>
    public static IReadOnlyList<string> Expand(IEnumerable<string> inputs)
    {
        List<string> files = [], leftOut = [], folders = [];
        foreach (string input in inputs)
        {
            if (!input.StartsWith('@') || File.Exists(input))
                files.AddRange(Files(input));
            else if (!File.Exists(input[1..]))
                throw new FileNotFoundException($"The list '{input[1..]}' does not exist; expected a file with one image or folder per line.");
            else
                files.AddRange(File.ReadLines(input[1..]).Where(line => !string.IsNullOrWhiteSpace(line)).SelectMany(line => Files(line.Trim())));
        }

        if (files.Count == 0)
            throw new InvalidDataException($"There are no images in {string.Join(", ", inputs)}: expected files ending in {ImageFiles.AllExtensions}"
                + (leftOut.Count > 0 ? $", found {Extensions(leftOut)}." : "."));
        NoteLeftOut(leftOut, string.Join(", ", folders.Take(Shown)) + (folders.Count > Shown ? ", …" : ""));
        return files;

        // A missing file is reported with the other bad images, so that one wrong line does not end a long run.
        IReadOnlyList<string> Files(string input)
        {
            if (!Directory.Exists(input))
                return [input];
            var found = ImageFiles.Find(input);
            leftOut.AddRange(found.LeftOut);
            if (found.LeftOut.Count > 0 && !folders.Contains(input))
                folders.Add(input);
            return found.Images;
        }
    }

    /// <summary>Opens a folder of class folders, and says what of it is left out; see <see cref="ImageFolderDataset.Open(string, int)"/>.</summary>
    public static ImageFolderDataset OpenDataset(string folder, int minimumClasses = 2)
    {
        var dataset = ImageFolderDataset.Open(folder, minimumClasses);
        NoteLeftOut(dataset.LeftOut, folder);
        return dataset;
    }

    /// <summary>Opens a folder of class folders, or one divided into train and val, and says what of it is left out; see <see cref="ImageFolderSplits.Open"/>.</summary>
    public static ImageFolderSplits OpenSplits(string folder)
    {
        var splits = ImageFolderSplits.Open(folder);
        NoteLeftOut([.. splits.Training.LeftOut, .. splits.Validation?.LeftOut ?? []], folder);
        return splits;
    }

    private static void NoteLeftOut(IReadOnlyList<string> files, string where)
    {
        if (files.Count > 0)
            CommandLineRunner.Note($"{(files.Count == 1 ? $"1 file of {where} is" : $"{files.Count} files of {where} are")} left out because of the extension: "
                + $"{Extensions(files)} (read are {ImageFiles.AllExtensions}).");
    }

    private static string Extensions(IEnumerable<string> files)
    {
        string[] found = [.. files.Select(file => Path.GetExtension(file).ToLowerInvariant()).Distinct().Order(StringComparer.Ordinal)];
        return string.Join(", ", found.Take(Shown).Select(extension => extension.Length == 0 ? "no extension" : extension)) + (found.Length > Shown ? ", …" : "");
    }
}
