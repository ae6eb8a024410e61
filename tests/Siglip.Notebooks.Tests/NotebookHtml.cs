namespace Siglip.Notebooks.Tests;

/// <param name="Content">A piece of a page.</param>
public sealed record NotebookHtml(string Content);
