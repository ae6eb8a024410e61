using System.Reflection;
using System.Runtime.InteropServices;
using Siglip.Core;
using TorchSharp;

namespace Siglip.Cli;

/// <summary>What <c>--verbose</c> adds: a line each on standard error.</summary>
internal static class RunDetails
{
    /// <summary>What runs, and where.</summary>
    public static void OfProgram()
    {
        if (CommandLineRunner.Verbosity == Verbosity.Verbose)
            CommandLineRunner.Detail($"siglip {Version(typeof(RunDetails).Assembly)}, TorchSharp {typeof(torch).Assembly.GetName().Version?.ToString(3)}, "
                + $"{RuntimeInformation.FrameworkDescription}, {RuntimeInformation.OSDescription} {RuntimeInformation.OSArchitecture}, {Environment.ProcessorCount} processors");
    }

    /// <summary>What was opened.</summary>
    public static void Of(SiglipCheckpoint checkpoint)
    {
        if (CommandLineRunner.Verbosity == Verbosity.Verbose)
            CommandLineRunner.Detail($"model {(checkpoint.Source == SiglipCheckpoint.Nano ? "nano, built in" : checkpoint.Source)}: {checkpoint.Config.Architecture}, "
                + $"{ModelDescription.Rounded(ExpectedTensors.ParameterCount(checkpoint.Config))} parameters, stored as "
                + $"{checkpoint.StoredDtype.ToString().ToLowerInvariant()}, {string.Join(", ", checkpoint.WeightFiles.Select(file => file.Name))}, "
                + $"SHA-256 {checkpoint.ComputeSha256()}");
    }

    /// <summary>How it computes.</summary>
    public static void OfComputation(string device, SiglipPrecision precision, int batchSize)
    {
        if (CommandLineRunner.Verbosity == Verbosity.Verbose)
            CommandLineRunner.Detail($"computes on {device}{(device == "cpu" ? $" with {torch.get_num_threads()} threads" : "")}, in {precision.ToString().ToLowerInvariant()}, "
                + $"{batchSize} images in one forward pass");
    }

    private static string Version(Assembly assembly) => assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;
}
