using System.Text.RegularExpressions;

namespace Siglip.Core;

/// <summary>A model of the Hugging Face hub by its name, <c>org/name</c> or <c>org/name@revision</c>.</summary>
/// <param name="Id">Organization or user, and name.</param>
/// <param name="Revision">A branch, a tag or a commit.</param>
internal sealed partial record HubModel(string Id, string Revision)
{
    private const string DefaultRevision = "main";
    private const int MaxLength = 96; // of each part of an id, as huggingface_hub has it

    /// <summary>Reads a name.</summary>
    /// <param name="name">What the user calls the model.</param>
    /// <param name="revision">What is asked for beside the name; null for that in the name, or main.</param>
    /// <returns>Null if it can be none of the hub.</returns>
    /// <exception cref="ArgumentException">The revision cannot be one, or there are two.</exception>
    public static HubModel? Find(string name, string? revision = null)
    {
        Match match = Name().Match(name);
        string id = match.Groups["id"].Value;
        if (!match.Success || id.Split('/').Any(part => part.Length > MaxLength) || id.Contains("--", StringComparison.Ordinal)
            || id.Contains("..", StringComparison.Ordinal) || id.EndsWith(".git", StringComparison.Ordinal))
            return null;

        string? own = match.Groups["revision"] is { Success: true, Value: var text } ? text : null;
        if (own is not null && revision is not null && own != revision)
            throw new ArgumentException($"The model '{name}' has the revision '{own}' in its name, and '{revision}' is asked for beside it; give one of them.");
        revision ??= own ?? DefaultRevision;
        if (!revision.Split('/').All(PlainName.IsOne))
            throw new ArgumentException($"'{revision}' cannot be a revision of '{id}', expected the name of a branch or a tag, or a commit.");
        return new HubModel(id, revision);
    }

    /// <summary>The folder of the cache, with <c>--</c> in place of <c>/</c>.</summary>
    public string FolderName { get; } = $"models--{Id.Replace("/", "--", StringComparison.Ordinal)}";

    /// <summary>Whether <see cref="Revision"/> is a commit, which never changes.</summary>
    public bool IsPinned => IsCommit(Revision);

    /// <summary>Whether a text is a git commit: 40 hexadecimal digits.</summary>
    public static bool IsCommit(string text) => Commit().IsMatch(text);

    public override string ToString() => $"{Id}@{Revision}";

    [GeneratedRegex(@"^(?<id>[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?/[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?)(?:@(?<revision>.+))?\z", RegexOptions.Singleline)]
    private static partial Regex Name();

    [GeneratedRegex(@"^[0-9a-f]{40}\z")]
    private static partial Regex Commit();
}
