namespace Siglip.Core.Tests;

/// <summary>A table that tests make, in a file of the repository.</summary>
internal static class ReportFile
{
    /// <summary>Writes the table to the file that an environment variable names, if it does, unless that has rows that did not run.</summary>
    /// <param name="variable">The environment variable. A relative path starts from the repository, as tests run in their output folder.</param>
    /// <param name="header">What stands before the table.</param>
    /// <param name="table">Lines of Markdown.</param>
    /// <param name="keys">Number of cells at the beginning of a row that say what it is of.</param>
    /// <exception cref="InvalidOperationException">Rows are missing; the file stays as it is.</exception>
    public static void Write(string variable, Func<string> header, string table, int keys)
    {
        if (Environment.GetEnvironmentVariable(variable) is not { Length: > 0 } file)
            return;

        DirectoryInfo folder = new(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "Siglip.MLNet.sln")))
            folder = folder.Parent ?? throw new DirectoryNotFoundException($"No folder above {AppContext.BaseDirectory} holds Siglip.MLNet.sln.");

        string path = Path.Combine(folder.FullName, file);
        IReadOnlyList<string> missing = File.Exists(path) ? RowsMissing(table, File.ReadAllText(path), keys) : [];
        if (missing.Count > 0)
        {
            throw new InvalidOperationException(
                $"{path} has {missing.Count} rows that did not run this time, such as '{missing[0]}', and stays as it is. "
                + "Run all tests, or delete the file if these no longer exist.");
        }

        File.WriteAllText(path, header() + table);
    }

    /// <summary>The rows of an earlier table that this one lacks, because their tests did not run.</summary>
    public static IReadOnlyList<string> RowsMissing(string table, string earlier, int keys)
    {
        HashSet<string> rows = [.. Rows(table)];
        return [.. Rows(earlier).Where(row => !rows.Contains(row))];

        IEnumerable<string> Rows(string markdown) => markdown.Split('\n')
            .Where(line => line.StartsWith("| ", StringComparison.Ordinal)).Select(line => string.Join(", ", line.Split(" | ")[..keys])[2..]);
    }
}
