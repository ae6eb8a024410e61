using System.Text.Json;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>Models, inputs and results that transformers computed, and how far a float32 computation may be from them.</summary>
internal static class ReferenceModels
{
    private static readonly JsonElement Tolerances = JsonDocument.Parse(File.ReadAllText(PathOf("tolerances.json"))).RootElement;

    public static string PathOf(params string[] parts) => Path.Combine([AppContext.BaseDirectory, "Reference", .. parts]);

    public static string Folder(string model) => PathOf("models", model);

    public static JsonElement Json(params string[] parts) => JsonDocument.Parse(File.ReadAllText(PathOf(parts))).RootElement;

    public static double Tolerance(string model, string output, string area = "models") =>
        Tolerances.GetProperty(area).GetProperty(model).GetProperty(output).GetDouble();

    /// <summary>The tolerance of an area that is no model, such as <c>end_to_end</c>.</summary>
    public static double AreaTolerance(string area, string output) => Tolerances.GetProperty(area).GetProperty(output).GetDouble();

    /// <summary>The largest absolute difference. Other shapes are a failure of their own.</summary>
    /// <remarks>Infinite if a value is not a number: assertions such as IsLessThanOrEqualTo let NaN pass.</remarks>
    public static double LargestDifference(Tensor actual, Tensor expected)
    {
        CollectionAssert.AreEqual(expected.shape, actual.shape);
        using DisposeScope scope = NewDisposeScope();
        double largest = (actual.detach().to(float64) - expected.to(float64)).abs().max().item<double>();
        return double.IsNaN(largest) ? double.PositiveInfinity : largest;
    }

    public static float[] Values(Tensor tensor) => tensor.detach().to(float32).contiguous().data<float>().ToArray();
}

/// <summary>The expected results of one model: float64 where the reference has it, float32 otherwise.</summary>
internal sealed class ExpectedOutputs(string model) : IDisposable
{
    private readonly SafetensorsFile _single = SafetensorsFile.Open(ReferenceModels.PathOf("models", model, "expected.safetensors"));
    private readonly SafetensorsFile _double = SafetensorsFile.Open(ReferenceModels.PathOf("models", model, "expected_fp64.safetensors"));

    public Tensor PixelValues(string prefix = "") => _single.Read(prefix + "pixel_values");

    public bool Has(string name) => _single.Tensors.ContainsKey(name) || _double.Tensors.ContainsKey(name);

    public Tensor Read(string name) => _double.Tensors.ContainsKey(name) ? _double.Read(name) : _single.Read(name);

    public void Dispose()
    {
        _single.Dispose();
        _double.Dispose();
    }
}
