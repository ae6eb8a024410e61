using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using System.Text.Json.Nodes;

namespace Siglip.Bench;

/// <summary>Where figures were measured.</summary>
internal static class Machine
{
    public static JsonObject Describe() => new()
    {
        ["cpu"] = CpuName(),
        ["cores"] = Environment.ProcessorCount,
        ["vectors"] = Avx512F.IsSupported ? "AVX2, AVX-512" : Avx2.IsSupported ? "AVX2" : AdvSimd.IsSupported ? "AdvSimd" : "other",
        ["architecture"] = RuntimeInformation.ProcessArchitecture.ToString(),
        ["system"] = RuntimeInformation.OSDescription,
        ["dotnet"] = RuntimeInformation.FrameworkDescription,
    };

    public static string Line(JsonObject machine) =>
        $"{machine["cpu"]}, {machine["cores"]} cores, {machine["vectors"]}; {machine["system"]}; {machine["dotnet"]}";

    private static string CpuName()
    {
        const string Linux = "/proc/cpuinfo";
        string? line = File.Exists(Linux)
            ? File.ReadLines(Linux).FirstOrDefault(text => text.StartsWith("model name", StringComparison.Ordinal))
            : null;
        return line?[(line.IndexOf(':') + 1)..].Trim() ?? Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? "unknown";
    }
}
