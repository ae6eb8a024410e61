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

    /// <summary>Opens images whose classes are known, to measure with: class folders, or the test batch of CIFAR-10, and says which.</summary>
    public static ILabeledImages OpenToMeasure(string folder)
    {
        if (!IsCifar10(folder))
            return OpenDataset(folder, minimumClasses: 1);
        var test = Cifar10Dataset.OpenTest(folder);
        CommandLineRunner.Note($"measuring with the {test.Count} images of CIFAR-10's test batch, {Path.Combine(folder, "test_batch.bin")}.");
        return test;
    }

    /// <summary>Opens images to train on, and to measure with while training.</summary>
    /// <param name="folder">Class folders, or those of train and val, or CIFAR-10's cifar-10-batches-bin, of which the test batch is left alone.</param>
    /// <param name="validationFolder">What to measure with, see <see cref="OpenToMeasure"/>; null for val or a part of the training images.</param>
    /// <param name="validationShare">The share of each class that is held out if there is nothing else to measure with; the last images of CIFAR-10, which are in
    /// no order. 0 for none.</param>
    /// <param name="seed">Decides which images of class folders are held out.</param>
    public static (ILabeledImages Training, ILabeledImages? Validation) OpenTraining(string folder, string? validationFolder, double validationShare, int seed)
    {
        (ILabeledImages training, ILabeledImages? validation) = IsCifar10(folder) ? (Cifar10Dataset.OpenTraining(folder), null) : OpenFolders(folder);
        if (validationFolder is not null)
        {
            validation = OpenToMeasure(validationFolder);
            RequireSameClasses(training, folder, validation, validationFolder);
        }

        return validation is not null || validationShare == 0 ? (training, validation) : Split(training, validationShare, seed);
    }

    private static (ILabeledImages Training, ILabeledImages? Validation) OpenFolders(string folder)
    {
        var splits = ImageFolderSplits.Open(folder);
        NoteLeftOut([.. splits.Training.LeftOut, .. splits.Validation?.LeftOut ?? []], folder);
        return (splits.Training, splits.Validation);
    }

    private static (ILabeledImages Training, ILabeledImages Validation) Split(ILabeledImages images, double share, int seed)
    {
        if (images is ImageFolderDataset folders)
            return folders.Split(share, seed);
        var cifar10 = (Cifar10Dataset)images;
        int kept = cifar10.Count - Math.Clamp((int)Math.Round(cifar10.Count * share), 1, cifar10.Count - 1);
        return (cifar10.Slice(0, kept), cifar10.Slice(kept, cifar10.Count - kept));
    }

    private static void RequireSameClasses(ILabeledImages training, string trainingFolder, ILabeledImages validation, string validationFolder)
    {
        if (training is ImageFolderDataset trainingFolders && validation is ImageFolderDataset validationFolders)
            validationFolders.RequireClassesOf(trainingFolders);
        else if (!training.Labels.SequenceEqual(validation.Labels))
            throw new InvalidDataException($"The classes of '{trainingFolder}' are {string.Join(", ", training.Labels)}, those of '{validationFolder}' "
                + $"{string.Join(", ", validation.Labels)}; expected the same.");
    }

    private static bool IsCifar10(string folder) => File.Exists(Path.Combine(folder, "data_batch_1.bin")) || File.Exists(Path.Combine(folder, "test_batch.bin"));

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
