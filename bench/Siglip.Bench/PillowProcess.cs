using System.Text.Json.Nodes;

namespace Siglip.Bench;

/// <summary>A Python process that runs pillow_resize.py and lives as long as this object.</summary>
internal sealed class PillowProcess : IDisposable
{
    private readonly AnsweringProcess _process;

    private PillowProcess(AnsweringProcess process) => _process = process;

    /// <summary>Of Python, Pillow and NumPy.</summary>
    public JsonObject Versions => _process.Versions;

    /// <summary>Starts the first Python in PATH that has Pillow and NumPy.</summary>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    public static PillowProcess Start() => new(AnsweringProcess.StartPython(
        "pillow_resize.py", [], new Dictionary<string, string>(), "No Python with Pillow and NumPy was found in PATH: install them, on Debian or Ubuntu with "
        + "'apt-get install python3-pil python3-numpy', elsewhere with 'pip install pillow numpy'."));

    /// <summary>Makes the image that is resized from now on.</summary>
    /// <returns>SHA-256 of its pixels, in lower case.</returns>
    public string MakeImage(int width, int height) => (string)_process.Ask(new JsonObject { ["image"] = new JsonArray(width, height) })["sha256"]!;

    /// <summary>Resizes the image.</summary>
    /// <returns>What <c>Image.resize</c> alone took, and the SHA-256 of its result.</returns>
    public (double Milliseconds, string Sha256) Resize(int width, int height, string filter)
    {
        JsonObject answer = _process.Ask(new JsonObject { ["resize"] = new JsonArray(width, height), ["filter"] = filter });
        return ((double)answer["milliseconds"]!, (string)answer["sha256"]!);
    }

    public void Dispose() => _process.Dispose();
}
