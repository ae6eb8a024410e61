using System.ComponentModel;
using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Siglip.Bench;

/// <summary>A Python process that runs pillow_resize.py and lives as long as this object.</summary>
internal sealed class PillowProcess : IDisposable
{
    private readonly Process _process;

    private PillowProcess(Process process, JsonObject versions) => (_process, Versions) = (process, versions);

    /// <summary>Of Python, Pillow and NumPy.</summary>
    public JsonObject Versions { get; }

    /// <summary>Starts the first Python in PATH that has Pillow and NumPy.</summary>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    public static PillowProcess Start()
    {
        string[] names = OperatingSystem.IsWindows() ? ["python.exe", "python3.exe"] : ["python3", "python"];
        string path = Environment.GetEnvironmentVariable("PATH") ?? "";
        string[] folders = path.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
        foreach (string python in folders.SelectMany(folder => names.Select(name => Path.Combine(folder, name))).Where(File.Exists))
        {
            if (TryStart(python) is { } pillow)
                return pillow;
        }

        throw new FileNotFoundException(
            "No Python with Pillow and NumPy was found in PATH: install them, on Debian or Ubuntu with "
            + "'apt-get install python3-pil python3-numpy', elsewhere with 'pip install pillow numpy'.");
    }

    /// <summary>Makes the image that is resized from now on.</summary>
    /// <returns>SHA-256 of its pixels, in lower case.</returns>
    public string MakeImage(int width, int height) => (string)Ask(new JsonObject { ["image"] = new JsonArray(width, height) })["sha256"]!;

    /// <summary>Resizes the image.</summary>
    /// <returns>What <c>Image.resize</c> alone took, and the SHA-256 of its result.</returns>
    public (double Milliseconds, string Sha256) Resize(int width, int height, string filter)
    {
        JsonObject answer = Ask(new JsonObject { ["resize"] = new JsonArray(width, height), ["filter"] = filter });
        return ((double)answer["milliseconds"]!, (string)answer["sha256"]!);
    }

    public void Dispose()
    {
        _process.StandardInput.Close(); // ends its loop
        _process.WaitForExit();
        _process.Dispose();
    }

    private static PillowProcess? TryStart(string python)
    {
        var start = new ProcessStartInfo(python, [Path.Combine(AppContext.BaseDirectory, "pillow_resize.py")])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        try
        {
            Process process = Process.Start(start)!;
            if (process.StandardOutput.ReadLine() is { } versions)
            {
                process.ErrorDataReceived += (_, line) => Console.Error.WriteLine(line.Data);
                process.BeginErrorReadLine();
                return new PillowProcess(process, JsonNode.Parse(versions)!.AsObject());
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

    private JsonObject Ask(JsonObject request)
    {
        _process.StandardInput.WriteLine(request.ToJsonString());
        _process.StandardInput.Flush();
        string answer = _process.StandardOutput.ReadLine()
            ?? throw new InvalidOperationException("pillow_resize.py ended without an answer; what it wrote to stderr says why.");
        return JsonNode.Parse(answer)!.AsObject();
    }
}
