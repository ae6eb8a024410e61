namespace Siglip.Notebooks;

/// <param name="Content">A piece of a page.</param>
internal sealed record Html(string Content);
