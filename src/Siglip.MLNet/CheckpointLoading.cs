using Microsoft.ML.Runtime;
using Siglip.Core;
using static TorchSharp.torch;

namespace Siglip.MLNet;

/// <summary>A checkpoint becomes a transformer.</summary>
internal static class CheckpointLoading
{
    /// <param name="environment">Where messages go.</param>
    /// <param name="settings">Checked settings; whether the checkpoint fits them is checked here, before its weights are read.</param>
    /// <param name="device">Torch's name of the device that computes.</param>
    /// <param name="checkpoint">The model and its preprocessing.</param>
    /// <param name="weightsSha256">The hash of the checkpoint's weights, for saving without weights; null if they are saved.</param>
    /// <exception cref="ArgumentException">The checkpoint does not fit the settings, or its preprocessing does not fit its model.</exception>
    public static SiglipImageFeaturizingTransformer Load(
        IHostEnvironment environment, FeaturizerSettings settings, string device, SiglipCheckpoint checkpoint, string? weightsSha256)
    {
        Check(settings, checkpoint);
        SiglipVisionModel model = checkpoint.LoadVisionModel();
        SiglipImageEmbedder? embedder = null;
        try
        {
            embedder = new SiglipImageEmbedder(model, checkpoint.ProcessorConfig, new SiglipImageEmbedderOptions
            {
                BatchSize = settings.BatchSize,
                Device = device,
                Normalize = settings.Normalize,
                ApplyExifOrientation = settings.ApplyExifOrientation,
            });
            return new SiglipImageFeaturizingTransformer(environment, settings, embedder, SavedDtype(checkpoint), weightsSha256);
        }
        catch
        {
            if (embedder is null)
                model.Dispose();
            else
                embedder.Dispose();
            throw;
        }
    }

    /// <summary>Checks all that needs no weights, so that the estimator's construction can find it.</summary>
    /// <exception cref="ArgumentException">A pooled embedding is asked for, and the model has no pooling head; a batch is too large; or the
    /// preprocessing does not fit the model.</exception>
    public static void Check(FeaturizerSettings settings, SiglipCheckpoint checkpoint)
    {
        SiglipVisionConfig config = checkpoint.Config;
        long largest = 3L * checkpoint.ProcessorConfig.Height * checkpoint.ProcessorConfig.Width; // values of one image in one array
        string subject = $"'{checkpoint.Source}'";
        try
        {
            SiglipImageProcessor.CheckFit(checkpoint.ProcessorConfig, config);
            foreach ((string name, SiglipOutputKind kind) in settings.Columns)
            {
                subject = $"Column '{name}' of '{checkpoint.Source}'";
                SiglipImageEmbedder.CheckHead(config, FeaturizedSchema.FlagOf(kind));
                if (kind == SiglipOutputKind.PatchEmbeddings)
                    largest = Math.Max(largest, (long)config.NumPatches * config.HiddenSize);
            }
        }
        catch (ArgumentException exception)
        {
            throw new ArgumentException($"{subject}: {exception.Message}", exception);
        }

        if (settings.BatchSize > Array.MaxLength / largest)
            throw new ArgumentOutOfRangeException(
                $"BatchSize is {settings.BatchSize}, which is too large: at most {Array.MaxLength / largest} images of this model fit in one batch.",
                innerException: null);
    }

    /// <summary>The type that holds every stored weight exactly.</summary>
    private static ScalarType SavedDtype(SiglipCheckpoint checkpoint) =>
        checkpoint.Tensors.Values.All(tensor => tensor.Dtype == checkpoint.StoredDtype) ? checkpoint.StoredDtype : ScalarType.Float32;
}
