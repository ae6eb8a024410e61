using System.CommandLine;
using Siglip.Core;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Cli;

/// <summary><c>siglip forward</c>: pixel values through the model, for comparing with Python.</summary>
internal static class ForwardVerb
{
    public static Command Create()
    {
        var input = new Option<string>("--input") { Description = "A .safetensors file with pixel_values [batch, channels, height, width].", Required = true };
        var output = new Option<string>("--output") { Description = "The .safetensors file that gets last_hidden_state and pooler_output.", Required = true };
        Option<string> model = CommonOptions.Model();
        Option<string> device = CommonOptions.Device();
        var hiddenStates = new Option<bool>("--hidden-states") { Description = "Also write hidden_states.0, hidden_states.1, …" };
        var attentions = new Option<bool>("--attentions") { Description = "Also write attentions.0, attentions.1, …" };
        var interpolate = new Option<bool>("--interpolate-pos-encoding") { Description = "Accept images of other sizes than the model's." };

        var command = new Command("forward", "Run pixel values through the model.") { input, output, model, device, hiddenStates, attentions, interpolate };
        command.SetAction((parsed, cancellationToken) => Task.FromResult(Run(
            parsed.GetRequiredValue(input), parsed.GetRequiredValue(output), parsed.GetRequiredValue(model), parsed.GetRequiredValue(device),
            new SiglipForwardOptions
            {
                OutputHiddenStates = parsed.GetValue(hiddenStates),
                OutputAttentions = parsed.GetValue(attentions),
                InterpolatePositionEncoding = parsed.GetValue(interpolate),
            },
            cancellationToken)));
        return command;
    }

    private static int Run(string inputPath, string outputPath, string modelName, string deviceName, SiglipForwardOptions options, CancellationToken cancellationToken)
    {
        using var staged = new StagedFiles();
        StagedFiles.CheckWritable(outputPath);
        using SafetensorsFile input = SafetensorsFile.Open(inputPath);
        const string PixelValues = "pixel_values";
        if (!input.Tensors.ContainsKey(PixelValues))
            throw new InvalidDataException($"'{inputPath}' has no tensor '{PixelValues}'; it has {string.Join(", ", input.Tensors.Keys.Take(10))}.");

        using SiglipVisionModel model = SiglipVisionModel.FromPretrained(modelName, new SiglipLoadOptions { Device = deviceName });
        model.eval();
        using var noGradients = inference_mode();
        using DisposeScope scope = NewDisposeScope();
        cancellationToken.ThrowIfCancellationRequested();
        SiglipVisionOutput result = model.Forward(input.Read(PixelValues).to(float32).to(device(deviceName)), options);

        var tensors = new List<(string Name, Tensor Value)> { ("last_hidden_state", result.LastHiddenState) };
        if (result.PoolerOutput is { } pooled)
            tensors.Add(("pooler_output", pooled));
        tensors.AddRange((result.HiddenStates ?? []).Select((value, i) => ($"hidden_states.{i}", value)));
        tensors.AddRange((result.Attentions ?? []).Select((value, i) => ($"attentions.{i}", value)));
        staged.Add(outputPath, stream => SafetensorsFile.Write(stream, tensors.Select(tensor => (tensor.Name, tensor.Value.cpu())), metadata: null));
        cancellationToken.ThrowIfCancellationRequested();
        staged.Commit();

        foreach ((string name, Tensor value) in tensors)
            Console.WriteLine($"{name} [{string.Join(", ", value.shape)}]");
        return CommandLineRunner.Success;
    }
}
