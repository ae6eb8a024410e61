using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Compares the tensors of a file with those of a training.</summary>
internal static class StateFaults
{
    /// <exception cref="InvalidDataException">A tensor is missing, not expected, of another shape or type, or not finite.</exception>
    public static void Check(SafetensorsFile file, IReadOnlyCollection<(string Name, Tensor Value)> expected, int done)
    {
        string[] missing = [.. expected.Select(entry => entry.Name).Where(name => !file.Tensors.ContainsKey(name))];
        if (missing.Length > 0)
            throw Fault(file, $"lacks {TensorFaults.List(missing)}");
        string[] unexpected = [.. file.Tensors.Keys.Except(expected.Select(entry => entry.Name))];
        if (unexpected.Length > 0)
            throw Fault(file, $"has {TensorFaults.List(unexpected)}, which this training does not have");
        foreach ((string name, Tensor value) in expected)
        {
            SafetensorsEntry entry = file.Tensors[name];
            if (entry.Dtype != value.dtype || !entry.Shape.SequenceEqual(value.shape))
                throw Fault(file, $"has '{name}' as {entry.Dtype} [{string.Join(", ", entry.Shape)}], expected {value.dtype} [{string.Join(", ", value.shape)}]");
        }

        foreach ((string name, _) in expected)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor stored = file.Read(name);
            if (stored.dtype == ScalarType.Int64 && stored.item<long>() is var steps && (steps < 0 || steps > done))
                throw Fault(file, $"says that '{name}' is {steps}, expected 0 to {done}");
            if (!stored.isfinite().all().item<bool>())
                throw Fault(file, $"has values in '{name}' that are not finite");
        }
    }

    private static InvalidDataException Fault(SafetensorsFile file, string what) =>
        new($"{file.Source} {what}, so the training cannot go on from it; start anew without Resume, or name the file that this training wrote.");
}
