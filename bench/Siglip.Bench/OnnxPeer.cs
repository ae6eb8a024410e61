using Microsoft.ML.OnnxRuntime;

namespace Siglip.Bench;

/// <summary>ONNX Runtime on the CPU, with an exported model.</summary>
internal sealed class OnnxPeer : IDisposable
{
    private readonly RunOptions _options = new();
    private readonly InferenceSession _session;
    private readonly string[] _outputs;

    /// <param name="path">The .onnx file.</param>
    /// <param name="threads">That one operator uses; 0 leaves it to ONNX Runtime.</param>
    /// <param name="outputs">Which to compute; none for all.</param>
    public OnnxPeer(string path, int threads = 0, params string[] outputs)
    {
        using var options = new SessionOptions { IntraOpNumThreads = threads, LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR };
        _session = new InferenceSession(path, options);
        _outputs = outputs.Length > 0 ? outputs : [.. _session.OutputNames];
    }

    /// <summary>The version of ONNX Runtime.</summary>
    public static string Version => OrtEnv.Instance().GetVersionString();

    /// <summary>One forward pass.</summary>
    /// <param name="pixelValues">[batch, channels, height, width], row-major.</param>
    /// <param name="batch">Number of images.</param>
    /// <returns>The outputs in the order asked for, row-major.</returns>
    public float[][] Run(float[] pixelValues, int batch)
    {
        (string name, NodeMetadata metadata) = _session.InputMetadata.Single();
        long[] shape = [batch, .. metadata.Dimensions.Skip(1).Select(size => (long)size)];
        using OrtValue input = OrtValue.CreateTensorValueFromMemory(pixelValues, shape);
        using IDisposableReadOnlyCollection<OrtValue> outputs = _session.Run(_options, [name], [input], _outputs);
        return [.. outputs.Select(output => output.GetTensorDataAsSpan<float>().ToArray())];
    }

    public void Dispose()
    {
        _options.Dispose();
        _session.Dispose();
    }
}
