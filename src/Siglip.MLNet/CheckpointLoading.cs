using Microsoft.ML.Runtime;
using Siglip.Core;
using Siglip.MLNet.Internals;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.MLNet;

/// <summary>A checkpoint becomes a transformer, on the device that the settings ask for.</summary>
internal static class CheckpointLoading
{
    public static SiglipImageFeaturizingTransformer Load(
        IHostEnvironment environment, FeaturizerSettings settings, SiglipCheckpoint checkpoint, string? weightsSha256)
    {
        CheckHead(settings, checkpoint.Config);
        string device = ResolveDevice(environment, settings);
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

    /// <exception cref="ArgumentException">A pooled embedding is asked for, and the model has no pooling head.</exception>
    public static void CheckHead(FeaturizerSettings settings, SiglipVisionConfig config)
    {
        foreach ((string name, SiglipOutputKind kind) in settings.Columns)
        {
            if (kind == SiglipOutputKind.PooledEmbedding && !config.VisionUseHead)
                throw new ArgumentException($"Column '{name}' asks for the pooled embedding, and the model '{settings.Model}' has no pooling head "
                    + "(vision_use_head is false). Ask for MeanPatchEmbedding or PatchEmbeddings.");
        }
    }

    /// <summary>The name that torch has for the device.</summary>
    /// <exception cref="InvalidOperationException">There is no such GPU, and the CPU is not allowed instead.</exception>
    public static string ResolveDevice(IHostEnvironment environment, FeaturizerSettings settings)
    {
        if (settings.GpuDeviceId is not { } id)
            return "cpu";

        TorchNative.Ensure();
        int devices = torch.cuda.is_available() ? torch.cuda.device_count() : 0;
        if (id < devices)
            return $"cuda:{id}";

        string found = devices == 0 ? "CUDA is not available" : $"only {devices} CUDA device(s) are available";
        if (!settings.FallbackToCpu)
            throw new InvalidOperationException($"GPU device {id} is asked for, and {found}. Reference TorchSharp-cuda-linux or "
                + "TorchSharp-cuda-windows and install NVIDIA's driver, or allow the CPU with fallbackToCpu: true.");
        Environments.Warn(environment, nameof(SiglipImageFeaturizingTransformer), $"GPU device {id} is asked for, and {found}: the CPU computes.");
        return "cpu";
    }

    /// <summary>The type that holds every stored weight exactly.</summary>
    private static ScalarType SavedDtype(SiglipCheckpoint checkpoint) =>
        checkpoint.Tensors.Values.All(tensor => tensor.Dtype == checkpoint.StoredDtype) ? checkpoint.StoredDtype : ScalarType.Float32;
}
