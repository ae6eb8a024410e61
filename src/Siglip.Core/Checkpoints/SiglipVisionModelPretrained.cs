using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Loads and saves a <see cref="SiglipVisionModel"/>, in the layout of transformers.</summary>
/// <remarks>These members stand here, not in the model's class, because a model knows nothing of files.</remarks>
public static class SiglipVisionModelPretrained
{
    extension(SiglipVisionModel)
    {
        /// <summary>Loads a vision model.</summary>
        /// <param name="model">A folder, the id of a model of the Hugging Face hub, or <c>nano</c>; see <see cref="SiglipCheckpoint.Open"/>.</param>
        /// <param name="options">Where and how it computes; null for the defaults.</param>
        /// <returns>A model in evaluation mode, which the caller owns.</returns>
        /// <exception cref="FileNotFoundException">There is no such folder or model, or it lacks a file.</exception>
        /// <exception cref="InvalidDataException">A file is damaged, or the weights do not fit the configuration.</exception>
        /// <exception cref="ArgumentException">The device or the revision does not exist.</exception>
        /// <exception cref="IOException">A model of the hub cannot be fetched; see <see cref="SiglipCheckpoint.Open"/>.</exception>
        /// <exception cref="InvalidOperationException">The model has variable resolution (NaFlex), or the device is a GPU, but CUDA is not available.</exception>
        public static SiglipVisionModel FromPretrained(string model, SiglipLoadOptions? options = null) =>
            PretrainedFolder.Load(model, options, static (checkpoint, precision) => checkpoint.LoadVisionModel(precision));
    }

    extension(SiglipVisionModel model)
    {
        /// <summary>Saves config.json, preprocessor_config.json and model.safetensors; the files appear when all of them are complete.</summary>
        /// <param name="folder">Created if it does not exist; files of these names in it are replaced.</param>
        /// <param name="processor">How images become pixel values; null: as in the checkpoint that the
        /// model was loaded from; for a new model the defaults, at its image size.</param>
        /// <param name="storedDtype">Float32 (the default), Float16 or BFloat16, which round the weights.</param>
        /// <exception cref="ArgumentException">The type is another one, or the preprocessing does not give the model's image size.</exception>
        /// <exception cref="IOException">The folder cannot be written to, or has a processor_config.json of transformers 5, which would be read in place
        /// of the preprocessor_config.json.</exception>
        public void SavePretrained(string folder, SiglipImageProcessorConfig? processor = null, ScalarType storedDtype = ScalarType.Float32)
        {
            ArgumentNullException.ThrowIfNull(model);
            PretrainedFolder.Save(
                model, model.Config.ToJsonObject(), folder, PretrainedFolder.Fitting(processor ?? model.ProcessorConfig, model.Config), storedDtype);
        }
    }
}
