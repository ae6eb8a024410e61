namespace Siglip.Notebooks.Tests;

/// <param name="IsCode">C#, otherwise Markdown.</param>
/// <param name="Source">Its lines.</param>
/// <param name="Outputs">What the C# printed and displayed, in order.</param>
internal sealed record NotebookCell(bool IsCode, string Source, IReadOnlyList<NotebookOutput> Outputs)
{
    /// <summary>Whether the cell only loads packages.</summary>
    public bool IsReferences => IsCode && Source.Split('\n').All(line => line.StartsWith("#r ", StringComparison.Ordinal));
}
