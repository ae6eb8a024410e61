namespace Siglip.Core.Tests;

/// <summary>Variables of the environment, for the time of a test.</summary>
internal sealed class HubVariables : IDisposable
{
    private readonly (string Name, string? Value)[] _before;

    public HubVariables(params (string Name, string? Value)[] variables)
    {
        _before = [.. variables.Select(variable => (variable.Name, Environment.GetEnvironmentVariable(variable.Name)))];
        Set(variables);
    }

    public void Dispose() => Set(_before);

    private static void Set((string Name, string? Value)[] variables)
    {
        foreach ((string name, string? value) in variables)
            Environment.SetEnvironmentVariable(name, value);
    }
}
