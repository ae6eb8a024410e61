using System.Text.Json.Nodes;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>What loading and saving have in common for all models.</summary>
internal static class PretrainedFolder
{
    public static TModel Load<TModel>(string name, SiglipLoadOptions? options, Func<SiglipCheckpoint, TModel> load)
        where TModel : nn.Module
    {
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(name);
        Device device = TorchDevice.Find((options ?? new SiglipLoadOptions()).Device);
        TModel model = load(checkpoint);
        try
        {
            return model.to(device);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    public static void Save(
        nn.Module model, SiglipVisionConfig config, JsonObject json, string folder, SiglipImageProcessorConfig? processor, ScalarType storedDtype)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        if (storedDtype is not (ScalarType.Float32 or ScalarType.Float16 or ScalarType.BFloat16))
            throw new ArgumentException($"The stored type is {storedDtype}, expected Float32, Float16 or BFloat16.", nameof(storedDtype));
        processor ??= new SiglipImageProcessorConfig { Height = config.ImageSize, Width = config.ImageSize };
        processor.Validate();
        processor.CheckSize(config);

        json["torch_dtype"] = storedDtype.ToString().ToLowerInvariant();
        SafetensorsPart[] parts = [.. model.state_dict().Select(pair => SafetensorsFile.ToPart(pair.Key, pair.Value, storedDtype))];
        StagedFiles.Saving(folder, () => Directory.CreateDirectory(folder));
        using var staged = new StagedFiles();
        staged.Add(Path.Combine(folder, CheckpointWeights.FileName), stream => SafetensorsFile.Write(stream, parts, metadata: null));
        staged.AddText(Path.Combine(folder, "preprocessor_config.json"), processor.ToJson());
        staged.AddText(Path.Combine(folder, "config.json"), json.ToJsonString(SiglipImageProcessorConfig.Indented));
        staged.Commit();
    }
}
