using System.IO.Enumeration;

namespace Siglip.Core;

/// <summary>The files of a folder and of all folders below it, hidden ones left out.</summary>
/// <param name="Images">Those whose names end like those of images, in ordinal order.</param>
/// <param name="LeftOut">The others.</param>
internal sealed record ImageFiles(IReadOnlyList<string> Images, IReadOnlyList<string> LeftOut)
{
    private static readonly string[] Extensions = [".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"];

    public static string AllExtensions { get; } = string.Join(", ", Extensions);

    public static bool IsImage(string path) => Extensions.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase);

    public static ImageFiles Find(string folder)
    {
        ILookup<bool, string> files = Files(folder).ToLookup(IsImage);
        return new ImageFiles([.. files[true].OrderBy(path => path.Replace(Path.DirectorySeparatorChar, '/'), StringComparer.Ordinal)], [.. files[false]]);
    }

    // With all folders below it. Not what is hidden (.ipynb_checkpoints, ._1.png), and not what links to a folder, which may be one further up.
    private static FileSystemEnumerable<string> Files(string folder) =>
        new(
            folder,
            static (ref FileSystemEntry entry) => entry.ToSpecifiedFullPath(),
            new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.None, IgnoreInaccessible = false })
        {
            ShouldIncludePredicate = static (ref FileSystemEntry entry) => !entry.IsDirectory && !entry.FileName.StartsWith('.'),
            ShouldRecursePredicate = static (ref FileSystemEntry entry) =>
                !entry.FileName.StartsWith('.') && !entry.Attributes.HasFlag(FileAttributes.ReparsePoint),
        };
}
