using System.Text.RegularExpressions;

namespace Siglip.Documentation.Tests;

/// <summary>A piece of C# on a page.</summary>
/// <param name="Number">Its place among the page's blocks, from 1.</param>
/// <param name="Line">The page's line, from 1, where the code begins.</param>
/// <param name="Code">The lines of code.</param>
/// <param name="Output">The lines that it prints, as the page shows them; none if it shows nothing.</param>
internal sealed record CodeBlock(int Number, int Line, string[] Code, string[] Output)
{
    /// <summary>Stands for any characters in a line of output: what differs from machine to machine.</summary>
    public const string Anything = "…";

    /// <summary>Whether the code printed what the page shows.</summary>
    public bool Shows(string[] printed) => printed.Length == Output.Length && printed.Zip(Output).All(line => Matches(line.First, line.Second));

    private static bool Matches(string printed, string shown) =>
        Regex.IsMatch(printed, $"^{Regex.Escape(shown).Replace(Anything, ".*", StringComparison.Ordinal)}$", RegexOptions.CultureInvariant);
}
