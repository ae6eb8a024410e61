using System.Diagnostics;
using System.Globalization;
using Spectre.Console;

namespace Siglip.Cli;

/// <summary>How far a long job is.</summary>
/// <param name="Done">Units done.</param>
/// <param name="Total">All units.</param>
/// <param name="Detail">What else is worth knowing, such as images per second and the time left.</param>
/// <param name="IsMilestone">Whether the line stays: it is printed even where there is no terminal.</param>
internal readonly record struct ProgressState(double Done, double Total, string Detail, bool IsMilestone = false)
{
    public static ProgressState OfImages(long done, long total, TimeSpan elapsed)
    {
        TimeSpan left = elapsed / Math.Max(1, done) * (total - done);
        return new ProgressState(done, total, string.Create(CultureInfo.InvariantCulture,
            $"{done / Math.Max(elapsed.TotalSeconds, 1e-9):F0} images/s {Text(left)} left"));
    }

    /// <summary>Hours, minutes and seconds.</summary>
    public static string Text(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalHours}:{time:mm\\:ss}");
}

/// <summary>Shows progress on standard error: a bar in a terminal, a plain line every so often elsewhere; nothing with <c>--quiet</c>.</summary>
internal static class ProgressDisplay
{
    private static readonly TimeSpan PlainInterval = TimeSpan.FromSeconds(10);

    public static T Run<T>(string description, Func<IProgress<ProgressState>, T> work) =>
        CommandLineRunner.Verbosity == Verbosity.Quiet ? work(new Silence())
        : Console.IsErrorRedirected ? work(new PlainLines(description))
        : RunInTerminal(description, work);

    // A method of its own, so that Spectre.Console is loaded only where it is needed.
    private static T RunInTerminal<T>(string description, Func<IProgress<ProgressState>, T> work)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        return console.Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn())
            .Start(context => work(new Bar(console, context.AddTask(Markup.Escape(description)), description)));
    }

    private sealed class Bar(IAnsiConsole console, ProgressTask task, string description) : IProgress<ProgressState>
    {
        public void Report(ProgressState state)
        {
            task.MaxValue = Math.Max(1, state.Total);
            task.Value = state.Done;
            task.Description = Markup.Escape($"{description} {state.Detail}");
            if (state.IsMilestone)
                console.WriteLine($"{description} {state.Detail}");
        }
    }

    private sealed class Silence : IProgress<ProgressState>
    {
        public void Report(ProgressState state)
        {
        }
    }

    private sealed class PlainLines(string description) : IProgress<ProgressState>
    {
        private long _last = Stopwatch.GetTimestamp();

        public void Report(ProgressState state)
        {
            if (!state.IsMilestone && Stopwatch.GetElapsedTime(_last) < PlainInterval)
                return;
            _last = Stopwatch.GetTimestamp();
            Console.Error.WriteLine($"{description} {state.Done:N0}/{state.Total:N0} {state.Detail}");
        }
    }
}
