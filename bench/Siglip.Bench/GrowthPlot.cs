using System.Text.Json.Nodes;
using OxyPlot;
using OxyPlot.Annotations;
using OxyPlot.Axes;
using OxyPlot.Legends;
using OxyPlot.Series;
using OxyPlot.SkiaSharp;
using SkiaSharp;

namespace Siglip.Bench;

/// <summary>The picture of one series of <see cref="GrowthBenchmark"/>: time and memory, one above the other.</summary>
internal static class GrowthPlot
{
    private static readonly OxyColor[] Colours = [OxyColor.FromRgb(0x1f, 0x77, 0xb4), OxyColor.FromRgb(0xd9, 0x5f, 0x02), OxyColor.FromRgb(0x1b, 0x9e, 0x77)];
    private static readonly OxyColor Grey = OxyColor.FromRgb(0x80, 0x80, 0x80);

    /// <summary>Writes it as PNG.</summary>
    public static void Draw(JsonObject series, string file)
    {
        const string Time = "ms per image", Memory = "peak MB";
        JsonObject[] points = [.. series["points"]!.AsArray().OfType<JsonObject>().OrderBy(point => (double)point["x"]!)];
        double[] x = [.. points.Select(point => (double)point["x"]!)];
        bool models = (string)series["varies"]! == "model";
        var plot = new PlotModel
        {
            Title = (string)series["title"]!,
            TitleFontSize = 16,
            Background = OxyColors.White,
            DefaultFont = Font(),
            DefaultFontSize = 14,
            PlotAreaBorderThickness = new OxyThickness(0),
        };
        plot.Legends.Add(new Legend { LegendPosition = LegendPosition.BottomCenter, LegendPlacement = LegendPlacement.Outside, LegendOrientation = LegendOrientation.Horizontal, LegendFontSize = 14 });
        plot.Axes.Add(Style(new LogarithmicAxis { Position = AxisPosition.Bottom, Title = models ? "GFLOP per image" : (string)series["varies"]!, StringFormat = "#,0.##", Minimum = x[0] / (models ? 2 : 1.15), Maximum = x[^1] * 1.15 }));
        plot.Axes.Add(Style(new LogarithmicAxis { Position = AxisPosition.Left, Key = Time, Title = Time, StartPosition = 0.42, EndPosition = 1, StringFormat = "G4", MinimumPadding = 0.05, MaximumPadding = 0.05 }));
        plot.Axes.Add(Style(new LinearAxis { Position = AxisPosition.Left, Key = Memory, Title = Memory, StartPosition = 0, EndPosition = 0.36, StringFormat = "N0", Minimum = 0, MaximumPadding = 0.1 }));

        string[] precisions = [.. points[0]["precisions"]!.AsObject().Select(precision => precision.Key)];
        foreach ((string precision, OxyColor colour) in precisions.Zip(Colours))
        {
            plot.Series.Add(Line(Time, precision, colour, points.Select(point => (double)point["precisions"]![precision]!["median_ms"]!)));
            plot.Series.Add(Line(Memory, null, colour, points.Select(point => (double)point["precisions"]![precision]!["peak_mb"]!)));
        }

        double best = points.Max(point => (double)point["precisions"]![precisions[0]]!["gflops"]!);
        LineSeries count = Line(Time, $"arithmetic count, at the best rate of {precisions[0]}", Grey, points.Select(point => (double)point["gflop"]! / best * 1000));
        count.LineStyle = LineStyle.Dash;
        count.MarkerType = MarkerType.None;
        plot.Series.Add(count);
        if (models)
        {
            foreach ((int i, JsonObject point) in points.Index())
            {
                bool above = i % 2 == 0; // as some models lie close together
                plot.Annotations.Add(new TextAnnotation
                {
                    Text = (string)point["point"]!,
                    TextPosition = new DataPoint((double)point["x"]!, (double)point["precisions"]![precisions[above ? 0 : ^1]]!["median_ms"]!),
                    TextHorizontalAlignment = HorizontalAlignment.Right,
                    TextVerticalAlignment = above ? VerticalAlignment.Bottom : VerticalAlignment.Top,
                    Offset = above ? new ScreenVector(-6, -4) : new ScreenVector(4, 6),
                    StrokeThickness = 0,
                    FontSize = 12,
                    YAxisKey = Time,
                });
            }
        }

        using FileStream stream = File.Create(file);

        // Without the text shaper, whose native library has no package of its own for Linux here; Latin letters need none.
        new PngExporter { Width = 1000, Height = 750, UseTextShaping = false }.Export(plot, stream);

        LineSeries Line(string axis, string? title, OxyColor colour, IEnumerable<double> values)
        {
            var line = new LineSeries { YAxisKey = axis, Title = title, RenderInLegend = title is not null, Color = colour, StrokeThickness = 2, MarkerType = MarkerType.Circle, MarkerSize = 4, MarkerFill = colour };
            line.Points.AddRange(x.Zip(values, (at, value) => new DataPoint(at, value)));
            return line;
        }
    }

    private static Axis Style(Axis axis)
    {
        axis.AxislineStyle = LineStyle.Solid;
        axis.MajorGridlineStyle = LineStyle.Solid;
        axis.MajorGridlineColor = OxyColor.FromRgb(0xe0, 0xe0, 0xe0);
        axis.AxisTitleDistance = 12;
        return axis;
    }

    // One without serifs, if there is any.
    private static string Font() =>
        SKFontManager.Default.FontFamilies.Where(family => family is "Arial" or "Helvetica" or "Liberation Sans" or "DejaVu Sans" or "Noto Sans").Order(StringComparer.Ordinal).FirstOrDefault()
            ?? SKTypeface.Default.FamilyName;
}
