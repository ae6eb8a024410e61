namespace Siglip.Core;

/// <summary>A model of the Hugging Face hub in the cache, at one commit.</summary>
/// <param name="Model">Its id, <c>org/name</c>.</param>
/// <param name="Commit">The commit: 40 hexadecimal digits.</param>
/// <param name="Folder">The full path of the folder with its files.</param>
/// <param name="Files">The names of those that a checkpoint is read from.</param>
/// <param name="Note">Why it may not be the newest, in one sentence: the hub could not be asked. Null if it was, or nothing can have changed.</param>
public sealed record HuggingFaceSnapshot(string Model, string Commit, string Folder, IReadOnlyList<string> Files, string? Note)
{
    /// <summary>The name by which exactly this version is found again: <c>org/name@commit</c>.</summary>
    public string PinnedName => $"{Model}@{Commit}";
}
