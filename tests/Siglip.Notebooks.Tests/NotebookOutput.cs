namespace Siglip.Notebooks.Tests;

/// <param name="MimeType">What was displayed; null for text on the console.</param>
/// <param name="Text">The content.</param>
internal sealed record NotebookOutput(string? MimeType, string Text);
