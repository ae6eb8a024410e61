using System.ComponentModel;
using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Siglip.Bench;

/// <summary>A process that lives as long as this object and answers each line (JSON) with one, after a first one that says what it is.</summary>
internal sealed class AnsweringProcess : IDisposable
{
    private readonly Process _process;
    private readonly string _name;

    private AnsweringProcess(Process process, string name, JsonObject versions) => (_process, _name, Versions) = (process, name, versions);

    /// <summary>Of the program and its libraries.</summary>
    public JsonObject Versions { get; }

    /// <summary>Starts the first Python in PATH that a script works with.</summary>
    /// <param name="script">A file beside this program.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="environment">Set for it.</param>
    /// <param name="missing">What to say if there is none: what is needed and how it is installed.</param>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    public static AnsweringProcess StartPython(string script, string[] arguments, IReadOnlyDictionary<string, string> environment, string missing)
    {
        string[] names = OperatingSystem.IsWindows() ? ["python.exe", "python3.exe"] : ["python3", "python"];
        string path = Environment.GetEnvironmentVariable("PATH") ?? "";
        string[] folders = path.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
        foreach (string python in folders.SelectMany(folder => names.Select(name => Path.Combine(folder, name))).Where(File.Exists))
        {
            if (TryStart(python, script, [Path.Combine(AppContext.BaseDirectory, script), .. arguments], environment) is { } process)
                return process;
        }

        throw new FileNotFoundException(missing);
    }

    /// <summary>Starts this program once more.</summary>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="environment">Set for it.</param>
    public static AnsweringProcess StartSelf(string[] arguments, IReadOnlyDictionary<string, string> environment) =>
        TryStart(Environment.ProcessPath!, "The new process", arguments, environment)
        ?? throw new InvalidOperationException("The new process ended without an answer.");

    /// <summary>Sends a request and waits for its answer.</summary>
    public JsonObject Ask(JsonObject request)
    {
        _process.StandardInput.WriteLine(request.ToJsonString());
        _process.StandardInput.Flush();
        string answer = _process.StandardOutput.ReadLine()
            ?? throw new InvalidOperationException($"{_name} ended without an answer; what it wrote to stderr says why.");
        return JsonNode.Parse(answer)!.AsObject();
    }

    public void Dispose()
    {
        _process.StandardInput.Close(); // ends its loop
        _process.WaitForExit();
        _process.Dispose();
    }

    private static AnsweringProcess? TryStart(string program, string name, string[] arguments, IReadOnlyDictionary<string, string> environment)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach ((string variable, string value) in environment)
            start.Environment[variable] = value;
        try
        {
            Process process = Process.Start(start)!;
            if (process.StandardOutput.ReadLine() is { } versions)
            {
                process.ErrorDataReceived += (_, line) => Write(line.Data);
                process.BeginErrorReadLine();
                return new AnsweringProcess(process, name, JsonNode.Parse(versions)!.AsObject());
            }

            process.WaitForExit();
            process.Dispose();
        }
        catch (Win32Exception)
        {
            // Not a program for this machine: the next one may be.
        }

        return null;
    }

    // Null at the end.
    private static void Write(string? line)
    {
        if (line is not null)
            Console.Error.WriteLine(line);
    }
}
