using System.CommandLine;
using System.Diagnostics;
using Siglip.Core;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Cli;

/// <summary><c>siglip forward</c>: pixel values through the model, for comparing with Python.</summary>
internal static class ForwardVerb
{
    private const string PixelValues = "pixel_values";
    private const string PixelAttentionMask = "pixel_attention_mask";
    private const string SpatialShapes = "spatial_shapes";

    public static Command Create()
    {
        var input = new Option<string>("--input")
        {
            Description = "A .safetensors file with pixel_values [batch, channels, height, width]; for a NaFlex model pixel_values [batch, patches, values], "
                + "pixel_attention_mask [batch, patches] and spatial_shapes [batch, 2].",
            Required = true,
        };
        var output = new Option<string>("--output") { Description = "The .safetensors file that gets last_hidden_state and pooler_output, as float32.", Required = true };
        Option<string> model = CommonOptions.Model();
        Option<string> device = CommonOptions.Device();
        var hiddenStates = new Option<bool>("--hidden-states") { Description = "Also write hidden_states.0, hidden_states.1, …" };
        var attentions = new Option<bool>("--attentions") { Description = "Also write attentions.0, attentions.1, …" };
        var checkpoint = new CheckpointOptions();
        var expected = new Option<string?>("--expected") { Description = "A .safetensors file with the same outputs from elsewhere: prints the largest differences." };
        var tolerance = new Option<double?>("--tolerance") { Description = "With --expected: fail if an output differs by more." };
        tolerance.Accept(value => value >= 0, "a number of at least 0");

        var command = new Command("forward", "Run pixel values through the model.")
        {
            input, output, model, checkpoint.Revision, device, checkpoint.Precision, checkpoint.InterpolatePositionEncoding, hiddenStates, attentions, expected,
            tolerance,
        };
        command.Validators.Add(result =>
        {
            if (result.GetResult(tolerance) is not null && result.GetResult(expected) is null)
                result.AddError("--tolerance needs --expected.");
        });
        GroupedHelp.Add(command, [],
            "# the outputs for pixel values that Python wrote", "siglip forward --model models/siglip-base-patch16-224 --input python.safetensors --output dotnet.safetensors",
            "# with all layers' states, compared with Python's",
            "siglip forward --input python.safetensors --output dotnet.safetensors --hidden-states --expected python.safetensors --tolerance 1e-4");
        command.SetAction((parsed, cancellationToken) => Task.FromResult(Run(
            parsed.GetRequiredValue(input), parsed.GetRequiredValue(output), parsed.GetRequiredValue(model), parsed.GetRequiredValue(device),
            checkpoint.Read(parsed),
            new SiglipForwardOptions
            {
                OutputHiddenStates = parsed.GetValue(hiddenStates),
                OutputAttentions = parsed.GetValue(attentions),
                InterpolatePositionEncoding = parsed.GetValue(checkpoint.InterpolatePositionEncoding),
            },
            parsed.GetValue(expected), parsed.GetValue(tolerance), cancellationToken)));
        return command;
    }

    private static int Run(
        string inputPath, string outputPath, string modelName, string deviceName, CheckpointSettings settings, SiglipForwardOptions options,
        string? expectedPath, double? tolerance, CancellationToken cancellationToken)
    {
        using var staged = new StagedFiles();
        StagedFiles.CheckWritable(outputPath);
        Device device = TorchDevice.Find(deviceName);
        using SafetensorsFile input = SafetensorsFile.Open(inputPath);
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(NamedModel.Fetch(modelName, settings.Revision, cancellationToken));
        settings.CheckFit(checkpoint.Config);
        RunDetails.Of(checkpoint);
        bool naFlex = checkpoint.Config is Siglip2VisionConfig;
        CheckTensors(input, inputPath, naFlex);

        using var noGradients = inference_mode();
        using DisposeScope scope = NewDisposeScope();
        SiglipPrecision precision = settings.Precision ?? SiglipPrecision.Float32;
        cancellationToken.ThrowIfCancellationRequested();
        long start = Stopwatch.GetTimestamp();
        SiglipVisionOutput result;
        try
        {
            result = Forward();
        }
        catch (ArgumentException e)
        {
            bool patches = !naFlex && input.Tensors[PixelValues].Shape.Count == 3;
            throw new ArgumentException(e.Message.Replace("pixelValues", $"{PixelValues} of '{inputPath}'", StringComparison.Ordinal)
                .Replace("spatialShapes", $"{SpatialShapes} of '{inputPath}'", StringComparison.Ordinal)
                .Replace("pixelAttentionMask", $"{PixelAttentionMask} of '{inputPath}'", StringComparison.Ordinal)
                + (patches ? " Three dimensions look like the input of a model with variable resolution (NaFlex)." : ""), e);
        }

        int images = (int)result.LastHiddenState.shape[0];
        double imagesPerSecond = images / Stopwatch.GetElapsedTime(start).TotalSeconds;
        RunDetails.OfComputation(deviceName, precision, images);
        var tensors = new List<(string Name, Tensor Value)> { ("last_hidden_state", result.LastHiddenState) };
        if (result.PoolerOutput is { } pooled)
            tensors.Add(("pooler_output", pooled));
        tensors.AddRange((result.HiddenStates ?? []).Select((value, i) => ($"hidden_states.{i}", value)));
        tensors.AddRange((result.Attentions ?? []).Select((value, i) => ($"attentions.{i}", value)));
        staged.Add(outputPath, stream => SafetensorsFile.Write(stream, tensors.Select(tensor => (tensor.Name, tensor.Value.to(float32).cpu())), metadata: null));
        cancellationToken.ThrowIfCancellationRequested();
        staged.Commit();

        OutputComparison? comparison = expectedPath is null ? null : new OutputComparison(expectedPath, tensors, naFlex ? input.Read(PixelAttentionMask) : null);
        Results.WriteTable(
            comparison is null ? ["output", "shape"] : ["output", "shape", "largest difference"],
            tensors.Select(tensor => (string[])[tensor.Name, $"[{string.Join(", ", tensor.Value.shape)}]", .. comparison is null ? [] : (string[])[comparison.TextOf(tensor.Name)]]));
        if (tolerance is { } accepted)
            comparison!.Check(accepted);
        CommandLineRunner.Summarize(images, failed: 0, imagesPerSecond, $"the outputs are in {outputPath}");
        return CommandLineRunner.Success;

        SiglipVisionOutput Forward()
        {
            if (naFlex)
            {
                using Siglip2VisionModel model = checkpoint.LoadSiglip2VisionModel(precision).to(device);
                return model.Forward(Read(PixelValues).to(float32), Read(PixelAttentionMask), Read(SpatialShapes), options);
            }

            using SiglipVisionModel fixedSize = checkpoint.LoadVisionModel(precision).to(device);
            return fixedSize.Forward(Read(PixelValues).to(float32), options);
        }

        Tensor Read(string name) => input.Read(name).to(device);
    }

    private static void CheckTensors(SafetensorsFile input, string path, bool naFlex)
    {
        string[] needed = naFlex ? [PixelValues, PixelAttentionMask, SpatialShapes] : [PixelValues];
        string[] missing = [.. needed.Where(name => !input.Tensors.ContainsKey(name))];
        if (missing.Length > 0)
            throw new InvalidDataException($"'{path}' has no tensor {string.Join(" and no tensor ", missing.Select(name => $"'{name}'"))}; a model with "
                + $"{(naFlex ? "variable resolution (NaFlex)" : "fixed resolution")} needs {string.Join(", ", needed)}. The file has "
                + $"{string.Join(", ", input.Tensors.Keys.Take(10))}.");
    }
}
