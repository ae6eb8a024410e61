using System.Globalization;
using System.Text.Json.Nodes;

namespace Siglip.Bench;

/// <summary>How long the same work took, again and again.</summary>
internal sealed class Timings
{
    private readonly List<double> _milliseconds = [];

    public void Add(double milliseconds) => _milliseconds.Add(milliseconds);

    public double Median => Quantile(0.5);

    /// <summary>What the work took when other programs disturbed it least.</summary>
    public double Fastest => Quantile(0);

    /// <summary>The value below which this share of the measurements lies, interpolated.</summary>
    public double Quantile(double share)
    {
        double[] sorted = [.. _milliseconds.Order()];
        double position = share * (sorted.Length - 1);
        int below = (int)position;
        int above = Math.Min(below + 1, sorted.Length - 1);
        return sorted[below] + ((position - below) * (sorted[above] - sorted[below]));
    }

    /// <summary>How many times as long it took as the other work, which was done in the same rounds: the median over the rounds.</summary>
    public double Over(Timings other)
    {
        var ratios = new Timings();
        foreach ((double mine, double others) in _milliseconds.Zip(other._milliseconds))
            ratios.Add(mine / others);
        return ratios.Median;
    }

    public JsonObject ToJson() => new()
    {
        ["median_ms"] = Math.Round(Median, 3),
        ["p10_ms"] = Math.Round(Quantile(0.1), 3),
        ["p90_ms"] = Math.Round(Quantile(0.9), 3),
        ["min_ms"] = Math.Round(Fastest, 3),
    };

    /// <summary>Median, and the range in which 80 % of the measurements lie.</summary>
    public override string ToString() => Text(ToJson());

    /// <summary>The same, of an object that has what <see cref="ToJson"/> writes.</summary>
    public static string Text(JsonObject timings) => string.Create(
        CultureInfo.InvariantCulture, $"{(double)timings["median_ms"]!:F2} ({(double)timings["p10_ms"]!:F2}–{(double)timings["p90_ms"]!:F2})");
}
