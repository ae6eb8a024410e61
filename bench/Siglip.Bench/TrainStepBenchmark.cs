using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Siglip.Core;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Bench;

/// <summary><c>train-step</c>: a step of training (forward, backward, gradient norm, AdamW) beside PyTorch's, in turns, with equal losses.</summary>
internal static class TrainStepBenchmark
{
    private const double LearningRate = 1e-4;
    private const int WarmUp = 3;

    public static Command Create()
    {
        var rounds = new Option<int>("--rounds") { Description = "Steps of each kind, in turns.", DefaultValueFactory = _ => 11 };
        var threads = new Option<int>("--threads") { Description = "Threads of each process.", DefaultValueFactory = _ => Environment.ProcessorCount };
        var quick = new Option<bool>("--quick") { Description = "Models of one layer and batches of two images, to try it." };
        var work = new Option<string?>("--work") { Hidden = true, Description = "What the new process trains." };
        var precision = new Option<SiglipPrecision>("--precision") { Hidden = true };
        var output = Report.Option("train-step.json");
        var command = new Command("train-step", "Measure a step of training beside PyTorch's.") { rounds, threads, quick, work, precision, output };
        command.SetAction(parsed => parsed.GetValue(work) is { } folder
            ? Work(folder, parsed.GetValue(threads), parsed.GetValue(precision))
            : Run(Math.Max(parsed.GetValue(rounds), 1), Math.Max(parsed.GetValue(threads), 1), parsed.GetValue(quick), parsed.GetRequiredValue(output)));
        return command;
    }

    private static int Run(int rounds, int threads, bool quick, string output)
    {
        SiglipVisionConfig bundled;
        using (SiglipCheckpoint nano = SiglipCheckpoint.Open("nano"))
            bundled = (SiglipVisionConfig)nano.Config;
        JsonObject machine = Machine.Describe();
        Console.WriteLine(Machine.Line(machine));
        JsonObject? versions = null;
        var results = new JsonArray();
        foreach ((string name, SiglipVisionConfig config, int labels, int batch) in
            ((string, SiglipVisionConfig, int, int)[])[("base-patch16-224", new SiglipVisionConfig(), 1000, 8), ("nano", bundled, 10, 128)])
        {
            string folder = Directory.CreateTempSubdirectory("siglip-train-step-").FullName;
            try
            {
                SiglipVisionConfig trained = config with { VisionUseHead = false, NumHiddenLayers = quick ? 1 : config.NumHiddenLayers };
                Prepare(folder, trained, labels, quick ? 2 : batch);
                using var processes = new Processes(folder, threads);
                if (versions is null)
                {
                    versions = processes.PyTorch.Versions;
                    Console.WriteLine($"Python {versions["python"]}, PyTorch {versions["torch"]}, BLAS {versions["blas"]}");
                    Console.WriteLine($"Median milliseconds of {rounds} steps (80 % of them lie in the range), {threads} threads.");
                    Console.WriteLine();
                    Console.WriteLine("| model | batch | Siglip.MLNet | PyTorch | times as fast | Siglip.MLNet, bfloat16 | peak MB: Siglip.MLNet | PyTorch | bfloat16 |");
                    Console.WriteLine("|---|---|---|---|---|---|---|---|---|");
                }

                results.Add(Measure(name, quick ? 2 : batch, processes, rounds));
            }
            catch (FileNotFoundException missing)
            {
                Console.Error.WriteLine(missing.Message);
                return 1;
            }
            finally
            {
                Directory.Delete(folder, recursive: true);
            }
        }

        Report.Write(output, new JsonObject
        {
            ["machine"] = machine,
            ["pytorch"] = versions!.DeepClone(),
            ["threads"] = threads,
            ["rounds"] = rounds,
            ["results"] = results,
        });
        Console.WriteLine();
        Console.WriteLine($"Both computed the same losses. The figures are in {output}.");
        return 0;
    }

    // Start weights and a batch for all processes.
    private static void Prepare(string folder, SiglipVisionConfig config, int labels, int batch)
    {
        TorchNative.Ensure();
        using DisposeScope scope = NewDisposeScope();
        manual_seed(1);
        using var model = new SiglipForImageClassification(config, [.. Enumerable.Range(0, labels).Select(label => $"class {label}")]);
        model.SavePretrained(folder);
        Tensor targets = nn.functional.one_hot(arange(batch) * 7 % labels, labels).to(float32);
        SafetensorsFile.Write(Path.Combine(folder, "batch.safetensors"), [("pixel_values", rand(batch, 3, config.ImageSize, config.ImageSize) * 2 - 1), ("targets", targets)]);
    }

    // In every round each process does one step, so that all see the same state of the machine.
    private static JsonObject Measure(string name, int batch, Processes processes, int rounds)
    {
        Timings ours = new(), pytorch = new(), bfloat16 = new();
        double[] peaks = [];
        for (int round = 0; round < WarmUp + rounds; round++)
        {
            JsonObject[] steps = [.. ((AnsweringProcess[])[processes.Ours, processes.PyTorch, processes.BFloat16]).Select(process => process.Ask([]))];
            double[] losses = [.. steps.Select(step => (double)step["loss"]!)];

            // Rounding makes way step by step, faster in bfloat16.
            if (round < WarmUp)
            {
                Check(losses[1], losses[0], round == 0 ? 1e-5 : 1e-3, $"Step {round + 1} of {name}: PyTorch has another loss");
                Check(losses[2], losses[0], 1e-2, $"Step {round + 1} of {name}: bfloat16 has another loss");
                continue;
            }

            foreach ((Timings timings, JsonObject step) in ((Timings[])[ours, pytorch, bfloat16]).Zip(steps))
                timings.Add((double)step["milliseconds"]!);
            peaks = [.. steps.Select(step => (double)step["peak_mb"]!)];
        }

        double ratio = pytorch.Median / ours.Median;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| {name} | {batch} | {ours} | {pytorch} | {ratio:F2} | {bfloat16} | {peaks[0]:N0} | {peaks[1]:N0} | {peaks[2]:N0} |"));
        return new JsonObject
        {
            ["model"] = name,
            ["batch"] = batch,
            ["siglip"] = ours.ToJson(),
            ["pytorch"] = pytorch.ToJson(),
            ["pytorch_by_siglip"] = Math.Round(ratio, 3),
            ["siglip_bfloat16"] = bfloat16.ToJson(),
            ["siglip_peak_mb"] = Math.Round(peaks[0]),
            ["pytorch_peak_mb"] = Math.Round(peaks[1]),
            ["siglip_bfloat16_peak_mb"] = Math.Round(peaks[2]),
        };
    }

    private static void Check(double actual, double expected, double tolerance, string message)
    {
        if (!(Math.Abs(actual - expected) <= tolerance * Math.Abs(expected)))
            throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture, $"{message}: {actual}, expected {expected}."));
    }

    // What a new process does: a step for each line.
    private static int Work(string folder, int threads, SiglipPrecision precision)
    {
        TorchNative.Ensure();
        set_num_threads(threads);
        using SiglipForImageClassification model = SiglipForImageClassification.FromPretrained(folder);
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(folder, "batch.safetensors"));
        using var batch = new TrainingBatch(file.Read("pixel_values"), file.Read("targets"));
        var options = new SiglipTrainingOptions
        {
            LearningRate = LearningRate,
            DecayAllParameters = true,
            ClassifierInput = SiglipClassifierInput.Mean,
            Precision = precision,
        };
        using var step = new TrainingStep(model, options, CPU);
        return AnsweringLoop.Run(SiglipPeer.Versions(), _ =>
        {
            long start = Stopwatch.GetTimestamp();
            step.Begin(LearningRate);
            double loss = step.Accumulate(batch);
            step.Finish();
            return new JsonObject { ["milliseconds"] = Stopwatch.GetElapsedTime(start).TotalMilliseconds, ["loss"] = loss };
        });
    }

    private sealed class Processes : IDisposable
    {
        public Processes(string folder, int threads)
        {
            string count = threads.ToString(CultureInfo.InvariantCulture);

            // Passive: threads that wait actively would take the processor from the process whose turn it is.
            var environment = new Dictionary<string, string> { ["OMP_WAIT_POLICY"] = "passive", ["OMP_NUM_THREADS"] = count, ["OPENBLAS_NUM_THREADS"] = count };
            PyTorch = AnsweringProcess.StartPython(
                "train_step.py", [folder, count], environment, "No Python with PyTorch and NumPy was found in PATH: install them, on Debian with "
                + "'apt-get install python3-torch libopenblas0-openmp'.");
            Ours = AnsweringProcess.StartSelf(["train-step", "--work", folder, "--threads", count], environment);
            BFloat16 = AnsweringProcess.StartSelf(["train-step", "--work", folder, "--threads", count, "--precision", nameof(SiglipPrecision.BFloat16)], environment);
        }

        public AnsweringProcess Ours { get; }

        public AnsweringProcess PyTorch { get; }

        public AnsweringProcess BFloat16 { get; }

        public void Dispose()
        {
            Ours.Dispose();
            PyTorch.Dispose();
            BFloat16.Dispose();
        }
    }
}
