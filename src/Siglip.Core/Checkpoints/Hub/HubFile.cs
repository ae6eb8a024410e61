using System.Text.RegularExpressions;

namespace Siglip.Core;

/// <summary>What the hub says of a file.</summary>
/// <param name="Name">Its name in the repository.</param>
/// <param name="Commit">The commit that it is part of: 40 hexadecimal digits.</param>
/// <param name="Etag">What it is: its SHA-256 if it is stored in LFS (64 hexadecimal digits), otherwise its git SHA-1 (40).</param>
/// <param name="Size">Its bytes.</param>
internal sealed partial record HubFile(string Name, string Commit, string Etag, long Size)
{
    public static bool IsEtag(string text) => Hash().IsMatch(text);

    [GeneratedRegex(@"^(?:[0-9a-f]{40}|[0-9a-f]{64})\z")]
    private static partial Regex Hash();
}
