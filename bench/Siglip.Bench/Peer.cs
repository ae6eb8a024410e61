using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Siglip.Core;

namespace Siglip.Bench;

/// <summary>One implementation that runs a <see cref="PeerModel"/>, in a process of its own that is idle while the others work.</summary>
internal sealed class Peer : IDisposable
{
    private const string Verb = "peer", Onnx = "Onnx", OnnxInt8 = "OnnxInt8", ApplyOnnx = "ApplyOnnx";

    // As users have it; threads that wait actively for more work fall asleep in the pause before the next process's turn.
    public static readonly IReadOnlyDictionary<string, string> Environment = new Dictionary<string, string>();

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    private readonly AnsweringProcess _process;

    private Peer(string name, bool isFloat32, AnsweringProcess process)
    {
        (Name, IsFloat32, _process) = (name, isFloat32, process);
        LoadingPeakMb = (double)process.Versions["peak_mb"]!;
    }

    /// <summary>As in tables.</summary>
    public string Name { get; }

    /// <summary>Whether it is Siglip.MLNet.</summary>
    public bool IsOurs => Name.StartsWith("Siglip.MLNet", StringComparison.Ordinal);

    /// <summary>Whether it computes in float32.</summary>
    public bool IsFloat32 { get; }

    /// <summary>That it was told to use; 0 for its own default.</summary>
    public int Threads { get; private init; }

    /// <summary>What runs the model.</summary>
    public string VersionText => string.Join(", ", _process.Versions.Where(version => version.Key is "torchsharp" or "onnxruntime" or "torch" or "blas").Select(version => $"{version.Key} {version.Value}"));

    public Timings Timings { get; } = new();

    /// <summary>Peak of what is resident when all is loaded, before the first pass.</summary>
    public double LoadingPeakMb { get; }

    /// <summary>The same, after the last pass.</summary>
    public double PeakMb { get; private set; }

    /// <summary>Resident after the last pass.</summary>
    public double ResidentMb { get; private set; }

    /// <summary>What tables call Siglip.MLNet in a precision.</summary>
    public static string NameOf(SiglipPrecision precision) => $"Siglip.MLNet {precision.ToString().ToLowerInvariant()}";

    /// <summary>The precisions that are faster than float32 on some processor.</summary>
    public static IEnumerable<SiglipPrecision> Precisions => Enum.GetValues<SiglipPrecision>().Where(precision => precision != SiglipPrecision.Float16);

    /// <summary>The line below a table of peers.</summary>
    public static string VersionsOf(IEnumerable<JsonNode?> peers) =>
        $"Versions: {string.Join("; ", peers.Select(peer => (string)peer!["versions"]!).Distinct())}.";

    /// <summary>The hidden verb that the new processes of this program run.</summary>
    public static Command Create()
    {
        var kind = new Argument<string>("kind");
        var folder = new Argument<string>("folder");
        var batch = new Argument<int>("batch");
        var threads = new Option<int>("--threads");
        var command = new Command(Verb, "What the processes beside this one do.") { kind, folder, batch, threads };
        command.Hidden = true;
        command.SetAction(parsed => Answer(parsed.GetRequiredValue(kind), parsed.GetRequiredValue(folder), parsed.GetValue(batch), parsed.GetValue(threads)));
        return command;
    }

    /// <summary>Siglip.MLNet.</summary>
    public static Peer Start(SiglipPrecision precision, string folder, int batch) => new(NameOf(precision), precision == SiglipPrecision.Float32, StartSelf(precision.ToString(), folder, batch));

    /// <summary>All that can be started here, Siglip.MLNet's precisions first. Of the others, says on stderr what they need.</summary>
    /// <param name="folder">Of a <see cref="PeerModel"/>.</param>
    /// <param name="batch">Images in a pass.</param>
    /// <param name="tune">Whether ONNX Runtime's numbers of threads are tried, and the fastest kept.</param>
    public static IEnumerable<Peer> StartAll(string folder, int batch, bool tune)
    {
        foreach (SiglipPrecision precision in Precisions)
            yield return Start(precision, folder, batch);
        foreach ((string kind, string name) in ((string, string)[])[(Onnx, "ONNX Runtime float32"), (OnnxInt8, "ONNX Runtime int8"), (ApplyOnnx, "ML.NET ApplyOnnxModel")])
        {
            int threads = tune ? FastestThreads(kind, folder, batch) : 0;
            yield return new Peer(name, kind != OnnxInt8, StartSelf(kind, folder, batch, threads)) { Threads = threads };
        }

        if (TryStartPyTorch(folder, batch) is { } pyTorch)
            yield return pyTorch;
    }

    /// <summary>The process that measures the processor's own limits.</summary>
    public static AnsweringProcess StartPeak() => StartSelf(nameof(Peak), ".", 0);

    /// <summary>One forward pass.</summary>
    /// <returns>The milliseconds that it took.</returns>
    public double Run()
    {
        JsonObject answer = _process.Ask([]);
        Thread.Sleep(Pause);
        PeakMb = (double)answer["peak_mb"]!;
        ResidentMb = (double)answer["resident_mb"]!;
        return (double)answer["milliseconds"]!;
    }

    /// <summary>The pooled embeddings of a forward pass, [batch, hidden].</summary>
    public float[] Pooled() =>
        MemoryMarshal.Cast<byte, float>(Convert.FromBase64String((string)_process.Ask(new JsonObject { ["outputs"] = true })["pooled"]!)).ToArray();

    /// <summary>How <see cref="Pooled"/> travels in a line.</summary>
    public static string Encode(float[] pooled) => Convert.ToBase64String(MemoryMarshal.AsBytes<float>(pooled));

    public void Dispose() => _process.Dispose();

    private static AnsweringProcess StartSelf(string kind, string folder, int batch, int threads = 0) => AnsweringProcess.StartSelf(
        [Verb, kind, folder, batch.ToString(CultureInfo.InvariantCulture), "--threads", threads.ToString(CultureInfo.InvariantCulture)], Environment);

    private static int Answer(string kind, string folder, int batch, int threads) => kind switch
    {
        nameof(Peak) => Peak.Answer(),
        Onnx => OnnxAnswers.Session(folder, PeerModel.OnnxFile, batch, threads),
        OnnxInt8 => OnnxAnswers.Session(folder, PeerModel.OnnxInt8File, batch, threads),
        ApplyOnnx => OnnxAnswers.ApplyOnnxModel(folder, PeerModel.OnnxFile, batch, threads),
        _ => SiglipPeer.Answer(folder, batch, Enum.Parse<SiglipPrecision>(kind)),
    };

    // Its default (a thread for each physical core, bound to it), a thread for each processor, and half of that.
    private static int FastestThreads(string kind, string folder, int batch)
    {
        int processors = System.Environment.ProcessorCount;
        (int threads, double fastest) = (0, double.PositiveInfinity);
        foreach (int tried in ((int[])[0, processors, Math.Max(1, processors / 2)]).Distinct())
        {
            using var peer = new Peer(kind, false, StartSelf(kind, folder, batch, tried));
            double milliseconds = peer.Run(); // the first, with all that happens once
            for (int pass = 0; pass < 3 && milliseconds < 2 * fastest; pass++)
                milliseconds = Math.Min(milliseconds, peer.Run());
            if (milliseconds < fastest)
                (threads, fastest) = (tried, milliseconds);
        }

        return threads;
    }

    private static Peer? TryStartPyTorch(string folder, int batch)
    {
        try
        {
            return new Peer("PyTorch", true, AnsweringProcess.StartPython(
                "forward.py", [folder, batch.ToString(CultureInfo.InvariantCulture)], Environment, "PyTorch is left out: no Python with PyTorch and NumPy was found in "
                + "PATH; on Debian 'apt-get install python3-torch libopenblas0-openmp' installs them."));
        }
        catch (FileNotFoundException missing)
        {
            Console.Error.WriteLine(missing.Message);
            return null;
        }
    }
}
