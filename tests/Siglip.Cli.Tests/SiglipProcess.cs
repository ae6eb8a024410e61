using System.Diagnostics;
using System.Text;

namespace Siglip.Cli.Tests;

/// <summary>The command, run as a user runs it: in a process of its own.</summary>
internal sealed class SiglipProcess : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);
    private readonly Process _process;
    private readonly Task<string> _output;
    private readonly Task _errorsRead;
    private readonly StringBuilder _errors = new();

    private static readonly string Siglip = Path.Combine(AppContext.BaseDirectory, "siglip.dll");

    private SiglipProcess(string folder, string program, string[] arguments, params (string Name, string? Value)[] variables)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach ((string name, string? value) in variables)
            start.Environment[name] = value;
        _process = Process.Start(start)!;
        _output = _process.StandardOutput.ReadToEndAsync();
        _errorsRead = ReadErrorsAsync();
    }

    public static SiglipResult Run(string folder, params string[] arguments)
    {
        using SiglipProcess process = Start(folder, arguments);
        return process.Wait();
    }

    /// <summary>Runs it with other variables in its environment, or without those whose value is null.</summary>
    public static SiglipResult RunWith((string Name, string? Value)[] variables, string folder, params string[] arguments)
    {
        using var process = new SiglipProcess(folder, "dotnet", [Siglip, .. arguments], variables);
        return process.Wait();
    }

    /// <summary>Runs it in a terminal of this width, with other variables in its environment; everything that it shows is in the output.</summary>
    public static SiglipResult RunInTerminal(int columns, (string Name, string? Value)[] variables, string folder, params string[] arguments)
    {
        string command = $"stty cols {columns} rows 40; exec dotnet {string.Join(' ', arguments.Prepend(Siglip).Select(argument => $"'{argument}'"))}";
        using var process = new SiglipProcess(folder, "script", ["--quiet", "--return", "--command", command, "/dev/null"], variables);
        return process.Wait();
    }

    public static SiglipProcess Start(string folder, params string[] arguments) => new(folder, "dotnet", [Siglip, .. arguments]);

    /// <summary>Starts it with variables of its own.</summary>
    public static SiglipProcess Start(string folder, (string Name, string? Value)[] variables, params string[] arguments) =>
        new(folder, "dotnet", [Siglip, .. arguments], variables);

    /// <summary>Starts it so that <see cref="FillDisk"/> makes writing fail with an error, not with a signal.</summary>
    public static SiglipProcess StartWithoutFileSizeSignal(string folder, params string[] arguments) => StartWithoutFileSizeSignal(folder, [], arguments);

    /// <inheritdoc cref="StartWithoutFileSizeSignal(string, string[])"/>
    public static SiglipProcess StartWithoutFileSizeSignal(string folder, (string Name, string? Value)[] variables, params string[] arguments) =>
        new(folder, "bash", ["-c", "trap '' XFSZ; DOTNET_EnableWriteXorExecute=0 exec dotnet \"$@\"", "bash", Siglip, .. arguments], variables);

    /// <summary>From now on no file can be larger than this, as on a disk that is nearly full.</summary>
    public void FillDisk(int bytes) => Process.Start("prlimit", [$"--pid={_process.Id}", $"--fsize={bytes}:{bytes}"]).WaitForExit();

    /// <summary>Waits until standard error holds a text.</summary>
    public void WaitForErrors(string text) => WaitUntil(() => Errors.Contains(text, StringComparison.Ordinal), $"wrote '{text}'");

    /// <summary>Waits until a file of this name with contents exists.</summary>
    public void WaitForFile(string folder, string pattern) =>
        WaitUntil(() => new DirectoryInfo(folder).EnumerateFiles(pattern).Any(file => file.Length > 0), $"wrote {pattern}");

    /// <summary>Waits until something is so.</summary>
    /// <param name="isSo">Whether it is.</param>
    /// <param name="what">What the command has done then.</param>
    public void WaitUntil(Func<bool> isSo, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!isSo())
        {
            Assert.IsFalse(_process.HasExited, $"siglip ended before it {what}: {Errors}");
            Assert.IsLessThan(Patience, Stopwatch.GetElapsedTime(start));
            Thread.Sleep(20);
        }
    }

    /// <summary>What Ctrl+C does.</summary>
    public void Interrupt() => Signal("INT");

    public void Signal(string name) => Process.Start("kill", [$"-{name}", $"{_process.Id}"]).WaitForExit();

    /// <summary>Ends it at once, whatever it does.</summary>
    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    public SiglipResult Wait()
    {
        if (!_process.WaitForExit(Patience))
        {
            _process.Kill(entireProcessTree: true);
            Assert.Fail($"siglip did not end within {Patience}.");
        }

        _errorsRead.Wait();
        return new SiglipResult(_process.ExitCode, _output.Result, Errors);
    }

    private string Errors
    {
        get
        {
            lock (_errors)
                return _errors.ToString();
        }
    }

    private async Task ReadErrorsAsync()
    {
        while (await _process.StandardError.ReadLineAsync() is { } line)
        {
            lock (_errors)
                _errors.Append(line).Append('\n');
        }
    }

    public void Dispose() => _process.Dispose();
}

/// <param name="ExitCode">0, 1, 2, 3 or 130.</param>
/// <param name="Output">Standard output.</param>
/// <param name="Errors">Standard error.</param>
internal sealed record SiglipResult(int ExitCode, string Output, string Errors)
{
    /// <summary>All done, nothing to complain about.</summary>
    public SiglipResult Succeeded()
    {
        Assert.AreEqual(0, ExitCode, $"{Output}\n{Errors}");
        return this;
    }

    /// <summary>An error in the middle of the work: exit code 1, and one clear line at the end.</summary>
    public void FailedInTheMiddle(string sentence)
    {
        Assert.AreEqual(1, ExitCode, $"{Output}\n{Errors}");
        Assert.DoesNotContain("   at ", Errors);
        string last = Errors.TrimEnd().Split('\n')[^1];
        Assert.StartsWith("siglip: ", last);
        Assert.Contains(sentence, last);
    }

    /// <summary>A user's error: exit code 1 and one clear line.</summary>
    public void Failed(string sentence)
    {
        Assert.AreEqual(1, ExitCode, $"{Output}\n{Errors}");
        string[] lines = Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.HasCount(1, lines, Errors);
        Assert.StartsWith("siglip: ", lines[0]);
        Assert.Contains(sentence, lines[0]);
    }
}
