using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text;
using TorchSharp;

namespace Siglip.Core.Tests;

/// <summary>Every comparison with the reference, as a table: case, output, largest difference, tolerance.</summary>
internal sealed class ParityReport
{
    private readonly Lock _gate = new();
    private readonly Dictionary<(ParityArea Area, string Case, string Output), Comparison> _comparisons = [];

    /// <summary>What the tests of this process have compared.</summary>
    public static ParityReport OfThisRun { get; } = new();

    /// <summary>Records a comparison, and fails where it is beyond its tolerance. Of several of one output, the largest difference stays.</summary>
    /// <param name="tolerance">Null for what is only told, not demanded.</param>
    public void Check(ParityArea area, string @case, string output, double difference, double? tolerance)
    {
        if (double.IsNaN(difference))
            difference = double.PositiveInfinity;
        Record((area, @case, output), new Comparison(difference, tolerance, 1, difference == 0 ? 1 : 0));
        if (tolerance is { } accepted)
            Assert.IsLessThanOrEqualTo(accepted, difference, $"{@case}, {output}");
    }

    /// <summary>Records one of many comparisons that must find no difference; the table counts them.</summary>
    /// <param name="case">What they have in common.</param>
    /// <param name="item">Which of them it is.</param>
    public void CheckIdentical(ParityArea area, string @case, string item, string output, double difference)
    {
        Record((area, @case, output), new Comparison(difference, 0, 1, difference == 0 ? 1 : 0));
        if (difference != 0)
            Record((area, item, output), new Comparison(difference, 0, 1, 0));
        Assert.AreEqual(0, difference, $"{item}, {output}");
    }

    public string ToMarkdown()
    {
        lock (_gate)
        {
            var text = new StringBuilder();
            foreach (var area in _comparisons.GroupBy(comparison => comparison.Key.Area).OrderBy(area => area.Key))
            {
                text.Append(CultureInfo.InvariantCulture, $"\n## {Title(area.Key)}\n\n");
                text.Append("| case | output | largest difference | tolerance |\n|---|---|---|---|\n");
                foreach (((_, string @case, string output), Comparison found) in area
                    .OrderBy(row => row.Key.Case, StringComparer.Ordinal).ThenBy(row => row.Key.Output, StringComparer.Ordinal))
                    text.Append(CultureInfo.InvariantCulture, $"| {@case} | {output} | {found.DifferenceText} | {found.ToleranceText} |\n");
            }

            return text.ToString();
        }
    }

    /// <summary>How the table was made.</summary>
    public static string Header => $"""
        # Parity with transformers, PyTorch and Pillow

        Made by the tests, in the folder of the repository:

        ```
        SIGLIP_PARITY=docs/parity.md dotnet test -c Release tests/Siglip.Core.Tests && cat docs/parity.md
        ```

        Each row is the largest absolute difference between a result of this library, computed on the CPU, in float32 unless it says otherwise, and the reference:
        transformers 5.8.0.dev0 (commit c0008d143dda), torch 2.6.0 on the CPU, Pillow 11.1.0 (libjpeg-turbo 2.1.5, libwebp 1.5.0). Outputs of models are
        compared with float64 results of transformers; hidden states, attentions, image files to embeddings, and gradients and parameters of the training
        exist in float32 only, so their row holds the rounding of both sides. The tolerances are those of the reference: about five times what
        transformers' own float32 shows against float64. A difference of 0 means equal to the bit.

        The last digits depend on the processor and on libtorch. These are of libtorch {torch.__version__} on {Processor} with {InstructionSet},
        {RuntimeInformation.FrameworkDescription}, {RuntimeInformation.RuntimeIdentifier}.

        """.ReplaceLineEndings("\n");

    private static string Processor => File.Exists("/proc/cpuinfo")
        && File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal)) is { } line
            ? line[(line.IndexOf(':') + 1)..].Trim()
            : Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? $"{RuntimeInformation.ProcessArchitecture}";

    private static string InstructionSet =>
        Avx512F.IsSupported ? "AVX-512" : Avx2.IsSupported ? "AVX2" : $"the basic instructions of {RuntimeInformation.ProcessArchitecture}";

    private static string Title(ParityArea area) => area switch
    {
        ParityArea.Models => "Models",
        ParityArea.VariableResolution => "Models with variable resolution (NaFlex)",
        ParityArea.FullSize => "Full size, weights by formula",
        ParityArea.HalfPrecision => "Models that compute in 16 bits",
        ParityArea.Preprocessing => "Preprocessing",
        ParityArea.EndToEnd => "From image files to outputs",
        ParityArea.Activations => "Activation functions",
        ParityArea.Training => "Training",
        _ => "Initial values (random: in standard errors)",
    };

    private static string Number(double value, string format) => value switch
    {
        0 => "0",
        double.PositiveInfinity => "∞",
        >= 0.1 => value.ToString(value < 10 ? "0.#" : "0", CultureInfo.InvariantCulture), // grey levels, standard errors
        _ => value.ToString(format, CultureInfo.InvariantCulture),
    };

    private void Record((ParityArea, string, string) key, Comparison found)
    {
        lock (_gate)
            _comparisons[key] = _comparisons.TryGetValue(key, out Comparison? before) ? before.And(found) : found;
    }

    private sealed record Comparison(double Difference, double? Tolerance, int Count, int Identical)
    {
        public string DifferenceText =>
            Number(Difference, "0.0e-0") + (Tolerance == 0 && Count > 1 ? $" ({Identical} of {Count} identical)" : "");

        public string ToleranceText => Tolerance is { } tolerance ? Number(tolerance, "0.#e-0") : "none";

        public Comparison And(Comparison other) => new(
            Math.Max(Difference, other.Difference), Tolerance is null || Tolerance < other.Tolerance ? other.Tolerance : Tolerance,
            Count + other.Count, Identical + other.Identical);
    }
}
