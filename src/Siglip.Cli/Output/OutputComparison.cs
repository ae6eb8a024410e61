using System.Globalization;
using Siglip.Core;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Cli;

/// <summary>A model's outputs beside those that another program computed.</summary>
internal sealed class OutputComparison
{
    private readonly string _path;
    private readonly Dictionary<string, double> _differences = [];

    /// <param name="path">A .safetensors file with tensors of the outputs' names.</param>
    /// <param name="outputs">The outputs.</param>
    /// <param name="valid">[batch, patches]: 0 for padding, which is not compared; null if there is none.</param>
    /// <exception cref="InvalidDataException">The file has none of the outputs, or one of another shape.</exception>
    public OutputComparison(string path, IReadOnlyList<(string Name, Tensor Value)> outputs, Tensor? valid)
    {
        _path = path;
        using SafetensorsFile expected = SafetensorsFile.Open(path);
        foreach ((string name, Tensor value) in outputs.Where(output => expected.Tensors.ContainsKey(output.Name)))
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor found = value.cpu().to(float64), wanted = expected.Read(name).to(float64);
            if (!found.shape.SequenceEqual(wanted.shape))
                throw new InvalidDataException($"'{path}' has '{name}' with shape [{string.Join(", ", wanted.shape)}], the model gives "
                    + $"[{string.Join(", ", found.shape)}]; compare outputs of the same input and model.");
            double largest = WithoutPadding((found - wanted).abs(), valid).max().item<double>();
            _differences[name] = double.IsNaN(largest) ? double.PositiveInfinity : largest;
        }

        if (_differences.Count == 0)
            throw new InvalidDataException($"'{path}' has none of the outputs ({string.Join(", ", outputs.Take(3).Select(output => output.Name))}, …); it has "
                + $"{string.Join(", ", expected.Tensors.Keys.Take(10))}.");
    }

    /// <summary>The largest absolute difference of an output, in words.</summary>
    public string TextOf(string output) =>
        _differences.TryGetValue(output, out double difference) ? difference.ToString("0.0e-0", CultureInfo.InvariantCulture) : "not compared";

    /// <exception cref="InvalidDataException">An output differs by more.</exception>
    public void Check(double tolerance)
    {
        string? worst = _differences.Where(pair => pair.Value > tolerance).OrderByDescending(pair => pair.Value).FirstOrDefault().Key;
        if (worst is not null)
            throw new InvalidDataException(string.Create(
                CultureInfo.InvariantCulture, $"{worst} differs from '{_path}' by {TextOf(worst)}, more than the {tolerance:0.##e-0} of --tolerance."));
    }

    // Of attentions [batch, heads, patches, patches], the rows of padding have no meaning; of pooled outputs there are none.
    private static Tensor WithoutPadding(Tensor differences, Tensor? valid) => (valid, differences.dim()) switch
    {
        (null, _) or (_, 2) => differences,
        ({ } mask, 4) => differences.transpose(1, 2)[mask.cpu().to(@bool)],
        var (mask, _) => differences[mask.cpu().to(@bool)],
    };
}
