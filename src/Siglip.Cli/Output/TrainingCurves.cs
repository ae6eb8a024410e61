using OxyPlot;
using OxyPlot.Axes;
using OxyPlot.Legends;
using OxyPlot.Series;
using OxyPlot.SkiaSharp;
using SkiaSharp;

namespace Siglip.Cli;

/// <summary>The picture of a training: loss, accuracy and learning rate over the steps, one above the other.</summary>
internal static class TrainingCurves
{
    private static readonly OxyColor TrainingColour = OxyColor.FromRgb(0x1f, 0x77, 0xb4);
    private static readonly OxyColor ValidationColour = OxyColor.FromRgb(0xd9, 0x5f, 0x02);

    /// <summary>Writes it as PNG.</summary>
    public static void Draw(IReadOnlyList<TrainingMetrics> rows, Stream stream)
    {
        var plot = new PlotModel { Background = OxyColors.White, DefaultFont = Font(), DefaultFontSize = 14, IsLegendVisible = true, PlotAreaBorderThickness = new OxyThickness(0) };
        plot.Legends.Add(new Legend
        {
            LegendPosition = LegendPosition.TopCenter,
            LegendPlacement = LegendPlacement.Outside,
            LegendOrientation = LegendOrientation.Horizontal,
            LegendFontSize = 14,
        });
        plot.Axes.Add(new LinearAxis { Position = AxisPosition.Bottom, Title = "step", StringFormat = "N0", Minimum = 0, MaximumPadding = 0.01, AxislineStyle = LineStyle.Solid });
        AddPanel(plot, "loss", 0.58, 1, "G4", rows, row => row.Loss, row => row.ValidationLoss);
        AddPanel(plot, "accuracy", 0.24, 0.54, "P0", rows, row => row.Accuracy, row => row.ValidationAccuracy);
        AddPanel(plot, "learning rate", 0, 0.2, "G4", rows, row => row.LearningRate, _ => null);

        // Without the text shaper, whose native library has no package of its own for Linux here; Latin letters need none.
        new PngExporter { Width = 1000, Height = 900, UseTextShaping = false }.Export(plot, stream);
    }

    private static void AddPanel(
        PlotModel plot, string title, double from, double to, string format, IReadOnlyList<TrainingMetrics> rows, Func<TrainingMetrics, double> training, Func<TrainingMetrics, double?> validation)
    {
        plot.Axes.Add(new LinearAxis
        {
            Position = AxisPosition.Left,
            Key = title,
            Title = title,
            StartPosition = from,
            EndPosition = to,
            StringFormat = format,
            AxislineStyle = LineStyle.Solid,
            MajorGridlineStyle = LineStyle.Solid,
            MajorGridlineColor = OxyColor.FromRgb(0xe0, 0xe0, 0xe0),
            AxisTitleDistance = 12,
            MinimumPadding = 0.04,
            MaximumPadding = 0.04,
        });
        bool first = plot.Series.Count == 0; // the legend names each colour once
        var ofTraining = new LineSeries { YAxisKey = title, Title = "training", Color = TrainingColour, StrokeThickness = 2, RenderInLegend = first };
        var ofValidation = new LineSeries
        {
            YAxisKey = title,
            Title = "validation",
            Color = ValidationColour,
            StrokeThickness = 2,
            MarkerType = MarkerType.Circle,
            MarkerSize = 3,
            MarkerFill = ValidationColour,
        };
        foreach (TrainingMetrics row in rows)
        {
            ofTraining.Points.Add(new DataPoint(row.Step, training(row)));
            if (validation(row) is { } value)
                ofValidation.Points.Add(new DataPoint(row.Step, value));
        }

        ofValidation.RenderInLegend = first && ofValidation.Points.Count > 0;
        plot.Series.Add(ofTraining);
        plot.Series.Add(ofValidation);
    }

    // One without serifs, if there is any.
    private static string Font() =>
        SKFontManager.Default.FontFamilies.Where(family => family is "Arial" or "Helvetica" or "Liberation Sans" or "DejaVu Sans" or "Noto Sans").Order(StringComparer.Ordinal).FirstOrDefault()
            ?? SKTypeface.Default.FamilyName;
}
