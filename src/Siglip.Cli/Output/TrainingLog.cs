using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary>What a training's output folder says about how it went: <c>metrics.csv</c>, <c>metrics.jsonl</c> and <c>curves.png</c>.</summary>
/// <remarks>The files are small, and written anew each time under another name first, so that they are whole whenever the process is killed.</remarks>
internal sealed class TrainingLog
{
    private const string Csv = "metrics.csv", JsonLines = "metrics.jsonl", Curves = "curves.png";

    /// <summary>The names of the files.</summary>
    public static readonly string[] Files = [Csv, JsonLines, Curves];

    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, RespectRequiredConstructorParameters = true };

    private readonly string _folder;
    private readonly List<TrainingMetrics> _rows;
    private readonly double _secondsBefore;
    private readonly long _start = Stopwatch.GetTimestamp();

    private TrainingLog(string folder, List<TrainingMetrics> rows)
    {
        (_folder, _rows) = (folder, rows);
        _secondsBefore = rows.Count > 0 ? rows[^1].Seconds : 0;
    }

    /// <summary>The epoch of the last row; 0 if there is none.</summary>
    public int Epoch => _rows.Count > 0 ? _rows[^1].Epoch : 0;

    /// <summary>For a new training: what an earlier one left is removed.</summary>
    public static TrainingLog Start(string folder)
    {
        File.Delete(Path.Combine(folder, Curves));
        var log = new TrainingLog(folder, []);
        log.Save();
        return log;
    }

    /// <summary>For a training that goes on: rows of steps that are done again are dropped.</summary>
    /// <param name="folder">The output folder.</param>
    /// <param name="step">The last step that is not done again.</param>
    /// <exception cref="InvalidDataException">A line is none of a training.</exception>
    public static TrainingLog Resume(string folder, int step)
    {
        string path = Path.Combine(folder, JsonLines);
        string[] lines = File.Exists(path) ? File.ReadAllLines(path) : [];
        return new TrainingLog(folder, [.. lines.Select((line, i) => Parse(line, path, i + 1)).Where(row => row.Step <= step)]);
    }

    /// <summary>Adds a row.</summary>
    public void Add(SiglipTrainingProgress progress)
    {
        if (_rows.Count > 0 && _rows[^1].Step == progress.Step)
            _rows.RemoveAt(_rows.Count - 1); // the end of an epoch that was cancelled while it measured
        _rows.Add(new TrainingMetrics(
            progress.Epoch, progress.Step, progress.Loss, progress.Accuracy, progress.LearningRate, Finite(progress.ImagesPerSecond),
            _secondsBefore + Stopwatch.GetElapsedTime(_start).TotalSeconds, Finite(progress.Validation?.Loss), progress.Validation?.Accuracy));
    }

    /// <summary>Writes the rows.</summary>
    public void Save()
    {
        var csv = new StringBuilder("epoch,step,loss,accuracy,learning_rate,images_per_second,seconds,validation_loss,validation_accuracy\n");
        var lines = new StringBuilder();
        foreach (TrainingMetrics row in _rows)
        {
            csv.Append(CultureInfo.InvariantCulture,
                $"{row.Epoch},{row.Step},{row.Loss},{row.Accuracy},{row.LearningRate},{row.ImagesPerSecond:F1},{row.Seconds:F3},{row.ValidationLoss},{row.ValidationAccuracy}\n");
            lines.Append(JsonSerializer.Serialize(row, Json)).Append('\n');
        }

        using var staged = new StagedFiles();
        staged.Add(Path.Combine(_folder, Csv), stream => stream.Write(Encoding.UTF8.GetBytes(csv.ToString())));
        staged.Add(Path.Combine(_folder, JsonLines), stream => stream.Write(Encoding.UTF8.GetBytes(lines.ToString())));
        staged.Commit();
    }

    /// <summary>Draws the rows.</summary>
    public void SaveCurves()
    {
        using var staged = new StagedFiles();
        staged.Add(Path.Combine(_folder, Curves), stream => TrainingCurves.Draw(_rows, stream));
        staged.Commit();
    }

    // JSON has no other numbers.
    private static double? Finite(double? value) => value is { } number && double.IsFinite(number) ? number : null;

    private static TrainingMetrics Parse(string line, string path, int number)
    {
        try
        {
            return JsonSerializer.Deserialize<TrainingMetrics>(line, Json) ?? throw new JsonException();
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"Line {number} of '{path}' is no row of a training's metrics; remove the file to go on without the rows up to now.", e);
        }
    }
}
