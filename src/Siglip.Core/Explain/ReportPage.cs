using System.Globalization;
using System.Net;
using System.Text;

namespace Siglip.Core;

/// <summary>A page with pictures that needs no other file, and the pictures as files.</summary>
/// <param name="title">Plain text.</param>
/// <param name="lead">HTML.</param>
/// <param name="sections">What follows.</param>
internal sealed class ReportPage(string title, string lead, IReadOnlyList<ReportSection> sections)
{
    public const string FileName = "report.html";

    private const string Style = """
        :root { color-scheme: light dark; }
        body { font: 1rem/1.55 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 62rem; }
        h1 { font-size: 1.7rem; line-height: 1.25; }
        h2 { font-size: 1.35rem; margin-top: 3rem; padding-top: 1rem; border-top: 1px solid #8888; }
        h3 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
        p, figcaption, ul { max-width: 46rem; }
        figure { margin: 0; }
        figcaption { margin-top: .5rem; }
        img { display: block; max-width: 100%; height: auto; }
        table { border-collapse: collapse; margin: .5rem 0; }
        td { padding: .1rem .8rem .1rem 0; overflow-wrap: anywhere; }
        code { overflow-wrap: anywhere; }
        .scale { display: flex; align-items: center; gap: .6rem; margin-top: .4rem; font-size: .9rem; max-width: 24rem; }
        .scale i { flex: 1; height: .8rem; }
        """;

    private static readonly string Gradient = string.Join(", ", Enumerable.Range(0, 10).Select(i => ColourOf(Viridis.Of(i / 9.0))));

    /// <summary>The scale of a heat map.</summary>
    public static string Scale(string lowest, string highest) =>
        $"<div class=\"scale\"><span>{Encode(lowest)}</span><i style=\"background:linear-gradient(to right, {Gradient})\"></i><span>{Encode(highest)}</span></div>";

    /// <summary>The scale of a map.</summary>
    public static string Scale(SiglipPatchMap map) => Scale(Number(map.Min), Number(map.Max));

    public static string Number(double value) => value.ToString("G3", CultureInfo.InvariantCulture);

    public static string Encode(string text) => WebUtility.HtmlEncode(text);

    public static string ColourOf((byte Red, byte Green, byte Blue) colour) => $"#{colour.Red:x2}{colour.Green:x2}{colour.Blue:x2}";

    /// <summary>Writes the page and the pictures; they appear when all of them are complete.</summary>
    /// <param name="folder">Created if it does not exist.</param>
    /// <returns>The files; the page is the first one.</returns>
    /// <exception cref="IOException">The folder cannot be written to.</exception>
    public IReadOnlyList<string> Save(string folder)
    {
        StagedFiles.Saving(folder, () => Directory.CreateDirectory(folder));
        using var staged = new StagedFiles();
        var html = new StringBuilder();
        html.Append($"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
            <title>{Encode(title)}</title>
            <style>
            {Style}
            </style>
            </head>
            <body>
            <h1>{Encode(title)}</h1>
            {lead}

            """);
        var files = new List<string> { Path.Combine(folder, FileName) };
        foreach (ReportSection section in sections)
        {
            html.Append($"<h2>{Encode(section.Title)}</h2>\n<p>{section.Introduction}</p>\n");
            foreach (ReportFigure figure in section.Figures)
            {
                byte[] png = figure.Picture.ToPng();
                string path = Path.Combine(folder, figure.FileName);
                staged.Add(path, stream => stream.Write(png));
                files.Add(path);
                html.Append($"""
                    <h3>{Encode(figure.Title)}</h3>
                    <figure>
                    <img src="data:image/png;base64,{Convert.ToBase64String(png)}" alt="{Encode(figure.Title)}" width="{figure.Picture.Width}" height="{figure.Picture.Height}">
                    {figure.Below}
                    <figcaption>{figure.Caption} <code>{Encode(figure.FileName)}</code></figcaption>
                    </figure>

                    """);
            }
        }

        html.Append("</body>\n</html>\n");
        staged.AddText(files[0], html.ToString().ReplaceLineEndings("\n"));
        staged.Commit();
        return files;
    }
}
