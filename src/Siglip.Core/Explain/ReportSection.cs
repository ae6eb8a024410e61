namespace Siglip.Core;

/// <summary>A part of a report.</summary>
/// <param name="Title">Plain text.</param>
/// <param name="Introduction">HTML.</param>
/// <param name="Figures">Its pictures.</param>
internal sealed record ReportSection(string Title, string Introduction, IReadOnlyList<ReportFigure> Figures);
