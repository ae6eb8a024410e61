using Microsoft.ML.OnnxRuntime;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>An .onnx file in ONNX Runtime, fed with torch's tensors.</summary>
internal sealed class OnnxSession : IDisposable
{
    private readonly RunOptions _options = new();

    public OnnxSession(string path)
    {
        using var options = new SessionOptions { LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR };
        Session = new InferenceSession(path, options);
    }

    public InferenceSession Session { get; }

    /// <summary>Runs the graph.</summary>
    /// <param name="inputs">float32 or int64, on the CPU.</param>
    /// <returns>All outputs, in the open dispose scope.</returns>
    public IReadOnlyDictionary<string, Tensor> Run(params (string Name, Tensor Value)[] inputs)
    {
        OrtValue[] values = [.. inputs.Select(input => input.Value.dtype == ScalarType.Int64
            ? OrtValue.CreateTensorValueFromMemory(input.Value.contiguous().data<long>().ToArray(), input.Value.shape)
            : OrtValue.CreateTensorValueFromMemory(input.Value.contiguous().data<float>().ToArray(), input.Value.shape))];
        try
        {
            using IDisposableReadOnlyCollection<OrtValue> outputs = Session.Run(_options, [.. inputs.Select(input => input.Name)], values, Session.OutputNames);
            return Session.OutputNames.Zip(outputs).ToDictionary(
                output => output.First,
                output => tensor(output.Second.GetTensorDataAsSpan<float>().ToArray()).reshape(output.Second.GetTensorTypeAndShape().Shape));
        }
        finally
        {
            foreach (OrtValue value in values)
                value.Dispose();
        }
    }

    public void Dispose()
    {
        _options.Dispose();
        Session.Dispose();
    }
}
