using System.Globalization;
using System.Text.RegularExpressions;

namespace Siglip.Notebooks.Tests;

/// <summary>Whether an output is of the kind of the stored one: the same text and pictures of the same size, with numbers that are equal, or nearly so.</summary>
/// <remarks>Other machines round otherwise. So a decimal number may be off by 5 % or 0.05, whichever is more; a whole number may not, and a time by anything.</remarks>
internal static partial class OutputComparison
{
    private const double Tolerance = 0.05;

    /// <returns>The first difference, as a sentence; null if there is none.</returns>
    public static string? Difference(IReadOnlyList<NotebookOutput> stored, IReadOnlyList<NotebookOutput> actual)
    {
        if (stored.Count != actual.Count)
            return $"{actual.Count} outputs, and {stored.Count} are stored";
        return stored.Zip(actual).Select((pair, i) => pair.First.MimeType != pair.Second.MimeType
            ? $"output {i + 1} is {pair.Second.MimeType ?? "text"}, and {pair.First.MimeType ?? "text"} is stored"
            : Difference(pair.First.Text, pair.Second.Text)).FirstOrDefault(difference => difference is not null);
    }

    /// <returns>The first difference, as a sentence; null if there is none.</returns>
    public static string? Difference(string stored, string actual)
    {
        MatchCollection expected = Variable().Matches(stored), found = Variable().Matches(actual);
        if (Variable().Replace(stored, "#") != Variable().Replace(actual, "#"))
            return $"the text is\n{actual}\nand stored is\n{stored}";
        return expected.Zip(found).Select(pair => Differ(pair.First, pair.Second) ? $"'{pair.Second}', and '{pair.First}' is stored, in\n{actual}" : null)
            .FirstOrDefault(difference => difference is not null);
    }

    private static bool Differ(Match stored, Match actual)
    {
        if (stored.Groups["type"] is { Success: true } type)
            return type.Value != actual.Groups["type"].Value || Size(type.Value, stored) != Size(type.Value, actual);
        if (actual.Groups["type"].Success || stored.Groups["decimals"].Length != actual.Groups["decimals"].Length)
            return true;
        if (stored.Groups["time"].Success || !stored.Groups["decimals"].Success)
            return !stored.Groups["time"].Success && stored.Value != actual.Value;

        double expected = Number(stored), found = Number(actual);
        return Math.Abs(expected - found) > Tolerance * Math.Max(1, Math.Abs(expected));
    }

    private static double Number(Match match) => double.Parse(match.Groups["number"].Value, CultureInfo.InvariantCulture);

    private static (int Width, int Height) Size(string type, Match picture)
    {
        byte[] content = Convert.FromBase64String(picture.Groups["content"].Value);
        var image = Core.RgbImage.Decode(content, $"the {type} in a page");
        return (image.Width, image.Height);
    }

    [GeneratedRegex("""data:(?<type>image/\w+);base64,(?<content>[A-Za-z0-9+/=]+)|(?<number>-?\d+(\.(?<decimals>\d+))?)(?<time>(?= (ms|s|min|images/s)\b))?""")]
    private static partial Regex Variable();
}
