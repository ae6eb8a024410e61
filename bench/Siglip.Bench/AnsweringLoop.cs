using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Siglip.Bench;

/// <summary>The inside of an <see cref="AnsweringProcess"/> that runs this program.</summary>
internal static class AnsweringLoop
{
    /// <summary>Says what this process is, then answers line by line to the end of stdin. Each line gets what is resident, and its peak.</summary>
    /// <param name="versions">Of the libraries that are measured.</param>
    /// <param name="answer">Does the work that a line asks for.</param>
    public static int Run(JsonObject versions, Func<JsonObject, JsonObject> answer)
    {
        Write(versions);
        while (Console.ReadLine() is { } line)
            Write(answer(JsonNode.Parse(line)!.AsObject()));
        return 0;
    }

    private static void Write(JsonObject answer)
    {
        using var process = Process.GetCurrentProcess();
        answer["resident_mb"] = process.WorkingSet64 / 1e6;
        answer["peak_mb"] = process.PeakWorkingSet64 / 1e6;
        Console.WriteLine(answer.ToJsonString());
    }
}
