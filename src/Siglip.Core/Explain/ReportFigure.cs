namespace Siglip.Core;

/// <summary>A picture of a report.</summary>
/// <param name="FileName">Of the PNG file.</param>
/// <param name="Picture">What is shown.</param>
/// <param name="Title">What it is, in a few words; plain text.</param>
/// <param name="Caption">How to read it; HTML.</param>
/// <param name="Below">What stands between picture and caption, such as a scale; HTML.</param>
internal sealed record ReportFigure(string FileName, RgbImage Picture, string Title, string Caption, string Below = "");
