using System.Collections.Concurrent;
using System.Text.RegularExpressions;

namespace Siglip.Core;

/// <summary>Files that appear under their names only when all of them are complete: nothing half-written stays.</summary>
internal sealed partial class StagedFiles : IDisposable
{
    private static readonly ConcurrentDictionary<string, bool> Open = [];

    private readonly List<(string Temporary, string Path)> _staged = [];

    /// <summary>Writes a file under a temporary name in the folder where it is to be: of a link, its target's. A device is written to at once.</summary>
    /// <exception cref="IOException">The folder does not exist or cannot be written to, or the disk is full.</exception>
    public void Add(string path, Action<Stream> write)
    {
        path = Path.GetFullPath(path);
        Saving(path, () =>
        {
            if (IsDevice(path))
            {
                using var device = new FileStream(path, FileMode.Open, FileAccess.Write);
                write(device);
                return;
            }

            string target = TargetOf(path), temporary = TemporaryFor(target);
            using var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16);
            _staged.Add((temporary, target));
            Open.TryAdd(temporary, true);
            write(stream);
            stream.Flush(flushToDisk: true); // a rename must not reach the disk before the contents do
        });
    }

    /// <summary>Makes sure, before a long computation, that a file can be written: its folder exists and takes new files.</summary>
    /// <exception cref="IOException">It cannot.</exception>
    public static void CheckWritable(string path)
    {
        path = Path.GetFullPath(path);
        Saving(path, () =>
        {
            if (IsDevice(path))
                return;
            if (Directory.Exists(path))
                throw new IOException("it is a folder.");
            new FileStream(TemporaryFor(TargetOf(path)), FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.DeleteOnClose).Dispose();
        });
    }

    /// <summary>Makes sure that files can be written to a folder, which need not exist yet.</summary>
    /// <exception cref="IOException">They cannot.</exception>
    public static void CheckFolderWritable(string folder)
    {
        folder = Path.GetFullPath(folder);
        string? existing = folder;
        while (!Directory.Exists(existing))
        {
            if (File.Exists(existing))
                Saving(folder, () => throw new IOException($"'{existing}' is a file, not a folder."));
            existing = Path.GetDirectoryName(existing);
            if (existing is null)
                Saving(folder, () => throw new IOException("the drive does not exist."));
        }

        CheckWritable(Path.Combine(existing, "siglip"));
    }

    /// <summary>Writes a text file, ending in a line feed.</summary>
    public void AddText(string path, string text) =>
        Add(path, stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(text.TrimEnd('\n') + "\n")));

    /// <summary>Gives the files their names; existing files are replaced, and pass on their Unix mode.</summary>
    public void Commit()
    {
        while (_staged is [var (temporary, path), ..])
        {
            Saving(path, () =>
            {
                if (!OperatingSystem.IsWindows() && File.Exists(path))
                    File.SetUnixFileMode(temporary, File.GetUnixFileMode(path));
                File.Move(temporary, path, overwrite: true);
            });
            Open.TryRemove(temporary, out _);
            _staged.RemoveAt(0);
        }
    }

    /// <summary>Removes what was not committed.</summary>
    public void Dispose()
    {
        foreach ((string temporary, _) in _staged)
        {
            TryDelete(temporary);
            Open.TryRemove(temporary, out _);
        }

        _staged.Clear();
    }

    /// <summary>Removes all files of this process that are not committed: it is about to end.</summary>
    public static void DeleteAll()
    {
        foreach (string temporary in Open.Keys)
            TryDelete(temporary);
    }

    /// <summary>Removes what processes that were killed while they wrote a file left of it. Only for files that one process writes at a time.</summary>
    public static void DeleteLeftovers(string path)
    {
        path = TargetOf(Path.GetFullPath(path));
        foreach (string temporary in Directory.EnumerateFiles(Path.GetDirectoryName(path)!, $".{Path.GetFileName(path)}.*.tmp"))
        {
            if (!Open.ContainsKey(temporary) && TemporaryName().Replace(Path.GetFileName(temporary), "") == "." + Path.GetFileName(path))
                TryDelete(temporary);
        }
    }

    public static void Saving(string path, Action save)
    {
        try
        {
            save();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException || IsTooLarge(e))
        {
            throw new IOException($"'{Path.GetFullPath(path)}' cannot be written: {Reason(e, Path.GetDirectoryName(Path.GetFullPath(path)))} Choose a folder "
                + "that may be written to and has enough space.", e);
        }
    }

    // What .NET throws for a file that is larger than the file system or a limit of the process allows, such as one of 4 GiB on FAT32.
    // Which of the methods in System.IO it comes from depends on what was inlined.
    private static bool IsTooLarge(Exception e) =>
        e is ArgumentOutOfRangeException && e.TargetSite?.DeclaringType?.Namespace?.StartsWith("System.IO", StringComparison.Ordinal) == true;

    // Without the temporary name, which says nothing to the user.
    private static string Reason(Exception e, string? folder) => e switch
    {
        DirectoryNotFoundException when !Directory.Exists(folder) => $"the folder '{folder}' does not exist.",
        ArgumentOutOfRangeException => "the file system takes no file of this size.",
        FileNotFoundException or DirectoryNotFoundException => $"the folder '{folder}' takes no new files.",
        _ => TemporaryName().Replace(e.Message, ""),
    };

    [GeneratedRegex(@"(?<=[/\\])\.(?=[^/\\]+\.[0-9a-f]{32}\.tmp)|\.[0-9a-f]{32}\.tmp")]
    private static partial Regex TemporaryName();

    // Such as /dev/null and /dev/stdout; /dev/shm holds ordinary files.
    private static bool IsDevice(string path) =>
        path.StartsWith("/dev/", StringComparison.Ordinal) && !path.StartsWith("/dev/shm/", StringComparison.Ordinal) && File.Exists(path);

    private static string TargetOf(string path) =>
        new FileInfo(path) is { LinkTarget: not null } link ? link.ResolveLinkTarget(returnFinalTarget: true)!.FullName : path;

    private static string TemporaryFor(string path) =>
        Path.Combine(Path.GetDirectoryName(path)!, $".{Path.GetFileName(path)}.{Guid.NewGuid():N}.tmp");

    // A leftover is no reason to hide the exception on whose way out this happens.
    private static void TryDelete(string temporary)
    {
        try
        {
            File.Delete(temporary);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }
    }
}
