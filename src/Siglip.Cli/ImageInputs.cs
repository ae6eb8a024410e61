using Siglip.Core;

namespace Siglip.Cli;

/// <summary>The image files that a command line names: files, folders, and lists of them.</summary>
internal static class ImageInputs
{
    /// <summary>Lists the files in the order given; those of a folder and its subfolders in ordinal order, hidden ones left out.</summary>
    /// <param name="inputs">Files; folders; <c>@list.txt</c>: a file with one input per line.</param>
    /// <exception cref="FileNotFoundException">There is no such list.</exception>
    /// <exception cref="InvalidDataException">There is no image at all.</exception>
    public static IReadOnlyList<string> Expand(IEnumerable<string> inputs)
    {
        var files = new List<string>();
        foreach (string input in inputs)
        {
            if (!input.StartsWith('@') || File.Exists(input))
                files.AddRange(Files(input));
            else if (!File.Exists(input[1..]))
                throw new FileNotFoundException($"The list '{input[1..]}' does not exist; expected a file with one image or folder per line.");
            else
                files.AddRange(File.ReadLines(input[1..]).Where(line => !string.IsNullOrWhiteSpace(line)).SelectMany(line => Files(line.Trim())));
        }

        return files.Count > 0 ? files : throw new InvalidDataException($"There are no images in {string.Join(", ", inputs)}.");
    }

    // A missing file is reported with the other bad images, so that one wrong line does not end a long run.
    private static string[] Files(string input) =>
        Directory.Exists(input) ? ImageFolderDataset.FindImages(input) : [input];
}
