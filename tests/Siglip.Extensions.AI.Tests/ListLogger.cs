using Microsoft.Extensions.Logging;

namespace Siglip.Extensions.AI.Tests;

/// <summary>Keeps what is logged.</summary>
internal sealed class ListLogger(LogLevel minimum) : ILogger
{
    public List<string> Messages { get; } = [];

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= minimum;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        Messages.Add(formatter(state, exception));
}
