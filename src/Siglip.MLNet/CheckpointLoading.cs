using System.Diagnostics;
using System.Globalization;
using Microsoft.ML.Runtime;
using Siglip.Core;
using Siglip.MLNet.Internals;
using static TorchSharp.torch;

namespace Siglip.MLNet;

/// <summary>A checkpoint becomes a transformer.</summary>
internal static class CheckpointLoading
{
    /// <summary>Opens a checkpoint. That the hub could not be asked for a newer version of it is a warning.</summary>
    /// <inheritdoc cref="SiglipCheckpoint.Open"/>
    public static SiglipCheckpoint Open(IHost host, string model, string? revision, bool offline)
    {
        SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(model, revision, offline);
        if (checkpoint.Snapshot?.Note is { } note)
            Environments.Warn(host, note);
        return checkpoint;
    }

    /// <param name="environment">Where messages go.</param>
    /// <param name="settings">Checked settings; whether the checkpoint fits them is checked here, before its weights are read.</param>
    /// <param name="device">Torch's name of the device that computes.</param>
    /// <param name="checkpoint">The model and its preprocessing.</param>
    /// <param name="weightsSha256">The hash of the checkpoint's weights, for saving without weights; null if they are saved.</param>
    /// <param name="cancellationToken">Ends the transformer's work.</param>
    /// <exception cref="ArgumentException">The checkpoint does not fit the settings, or its preprocessing does not fit its model.</exception>
    public static SiglipImageFeaturizingTransformer Load(
        IHostEnvironment environment, FeaturizerSettings settings, string device, SiglipCheckpoint checkpoint, string? weightsSha256,
        CancellationToken cancellationToken)
    {
        Check(settings, checkpoint);
        long start = Stopwatch.GetTimestamp();
        SiglipImageEmbedder embedder = SiglipImageEmbedder.Load(checkpoint, settings.ToEmbedderOptions(device));
        try
        {
            var transformer = new SiglipImageFeaturizingTransformer(environment, settings, embedder, device, SavedDtype(settings, checkpoint), weightsSha256,
                cancellationToken);
            Environments.Inform(transformer.Host, string.Create(CultureInfo.InvariantCulture,
                $"Model '{checkpoint.Source}': {ExpectedTensors.ParameterCount(embedder.Config) / 1e6:N1} million parameters in {settings.Precision}, on {device}, "
                + $"{(embedder.SharesModel ? "shared with others in this process" : "loaded")} in {Stopwatch.GetElapsedTime(start).TotalSeconds:N2} s."));
            return transformer;
        }
        catch
        {
            embedder.Dispose();
            throw;
        }
    }

    /// <summary>Checks all that needs no weights, so that the estimator's construction can find it.</summary>
    /// <returns>The sizes that the embeddings will have.</returns>
    /// <exception cref="ArgumentException">A pooled embedding is asked for, and the model has no pooling head; a batch is too large; or the
    /// preprocessing does not fit the model.</exception>
    public static EmbeddingSizes Check(FeaturizerSettings settings, SiglipCheckpoint checkpoint) =>
        Check(settings, checkpoint.Config, checkpoint.ProcessorConfig, checkpoint.Source);

    /// <inheritdoc cref="Check(FeaturizerSettings, SiglipCheckpoint)"/>
    /// <param name="settings">Checked settings.</param>
    /// <param name="config">The model's sizes.</param>
    /// <param name="processorConfig">Its preprocessing.</param>
    /// <param name="source">What messages call the model.</param>
    public static EmbeddingSizes Check(FeaturizerSettings settings, SiglipVisionConfigBase config, SiglipImageProcessorConfigBase processorConfig, string source)
    {
        string subject = $"'{source}'";
        EmbeddingSizes sizes;
        long largest; // number of values of one image in one array
        try
        {
            (largest, long patches) = VisionTower.SizesOf(config, VisionTower.CheckFit(config, processorConfig, settings.ToEmbedderOptions("cpu")));
            sizes = new EmbeddingSizes(checked((int)patches), config.HiddenSize);
            foreach ((string name, SiglipOutputKind kind) in settings.Columns)
            {
                subject = $"Column '{name}' of '{source}'";
                SiglipImageEmbedder.CheckHead(config, FeaturizedSchema.FlagOf(kind));
                if (kind == SiglipOutputKind.PatchEmbeddings)
                    largest = Math.Max(largest, patches * config.HiddenSize);
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
        return sizes;
    }

    /// <summary>The checkpoint's preprocessing with what the settings change of it.</summary>
    /// <exception cref="ArgumentException">It does not fit the model, or a setting does not.</exception>
    public static SiglipImageProcessorConfigBase Preprocessing(FeaturizerSettings settings, SiglipCheckpoint checkpoint) =>
        VisionTower.CheckFit(checkpoint.Config, checkpoint.ProcessorConfig, settings.ToEmbedderOptions("cpu"));

    /// <summary>The type that holds every weight in memory exactly.</summary>
    private static ScalarType SavedDtype(FeaturizerSettings settings, SiglipCheckpoint checkpoint) =>
        settings.Precision != SiglipPrecision.Float32 ? settings.Precision.OfModules().ToDtype()
        : checkpoint.Tensors.Values.All(tensor => tensor.Dtype == checkpoint.StoredDtype) ? checkpoint.StoredDtype : ScalarType.Float32;
}
