using System.Text.Json.Nodes;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>What loading and saving have in common for all models.</summary>
internal static class PretrainedFolder
{
    public static TModel Load<TModel>(string name, SiglipLoadOptions? options, Func<SiglipCheckpoint, SiglipPrecision, TModel> load)
        where TModel : nn.Module
    {
        options ??= new SiglipLoadOptions();
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(name, options.Revision, options.Offline);
        Device device = TorchDevice.Find(options.Device);
        TModel model = load(checkpoint, options.Precision);
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

    /// <summary>The preprocessing to save with a model of fixed resolution.</summary>
    /// <exception cref="ArgumentException">A value is out of range, or the images would not have the model's size.</exception>
    public static SiglipImageProcessorConfig Fitting(SiglipImageProcessorConfig? processor, SiglipVisionConfig model)
    {
        processor ??= new SiglipImageProcessorConfig { Height = model.ImageSize, Width = model.ImageSize };
        processor.Validate();
        processor.CheckSize(model);
        return processor;
    }

    /// <summary>Makes sure that a preprocessor_config.json in the folder will be read: transformers 5 leaves another file, which is read first.</summary>
    /// <exception cref="IOException">It will not.</exception>
    /// <exception cref="InvalidDataException">The other file is damaged.</exception>
    public static void CheckReadBack(string folder)
    {
        string other = Path.Combine(folder, SiglipCheckpoint.ProcessorName);
        if (SiglipCheckpoint.ImageProcessorOf(other) is not null)
            throw new IOException($"The folder has a '{other}', which is read in place of the preprocessor_config.json that would be saved. Save to another "
                + "folder, or delete that file first.");
    }

    public static void Save(nn.Module model, JsonObject json, string folder, SiglipImageProcessorConfigBase processor, ScalarType storedDtype) =>
        Save([.. model.state_dict().Select(pair => SafetensorsFile.ToPart(pair.Key, pair.Value, storedDtype))], json, folder, processor, storedDtype);

    /// <param name="parts">The model's state dict.</param>
    /// <param name="json">The config.json, but for the type.</param>
    /// <param name="folder">Created if it does not exist.</param>
    /// <param name="processor">Checked to fit the model.</param>
    /// <param name="storedDtype">Float32, Float16 or BFloat16.</param>
    public static void Save(
        IReadOnlyCollection<SafetensorsPart> parts, JsonObject json, string folder, SiglipImageProcessorConfigBase processor, ScalarType storedDtype)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        if (storedDtype is not (ScalarType.Float32 or ScalarType.Float16 or ScalarType.BFloat16))
            throw new ArgumentException($"The stored type is {storedDtype}, expected Float32, Float16 or BFloat16.", nameof(storedDtype));
        CheckReadBack(folder);
        json["torch_dtype"] = storedDtype.ToString().ToLowerInvariant();
        StagedFiles.Saving(folder, () => Directory.CreateDirectory(folder));
        using var staged = new StagedFiles();
        staged.Add(Path.Combine(folder, CheckpointWeights.FileName), stream => SafetensorsFile.Write(stream, parts, metadata: null));
        staged.AddText(Path.Combine(folder, "preprocessor_config.json"), processor.ToJson());
        staged.AddText(Path.Combine(folder, "config.json"), json.ToJsonString(SiglipImageProcessorConfigBase.Indented));
        staged.Commit();
    }
}
