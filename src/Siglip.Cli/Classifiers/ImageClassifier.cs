using Siglip.Core;

namespace Siglip.Cli;

/// <summary>Finds the classifier that a command line names.</summary>
internal static class ImageClassifier
{
    /// <summary>Loads a model.</summary>
    /// <param name="model">A file written by <c>siglip train</c>, or a checkpoint with a classifier: a folder, as <c>siglip finetune</c> writes it, the id of a
    /// model of the Hugging Face hub, or <c>nano</c>.</param>
    /// <param name="device">cpu, cuda or cuda:N.</param>
    /// <param name="settings">How a checkpoint computes.</param>
    /// <param name="cancellationToken">Stops the download of a model of the hub.</param>
    /// <exception cref="ArgumentException">A setting does not fit the model, or the model is a saved one, which takes none.</exception>
    /// <exception cref="FileNotFoundException">There is no such file or folder.</exception>
    /// <exception cref="InvalidDataException">It is no model, or no classifier.</exception>
    public static IImageClassifier Load(string model, string device, CheckpointSettings settings, CancellationToken cancellationToken)
    {
        if (!NamedModel.IsSaved(model) && (CheckpointName.IsLocal(model) || HubModel.Find(model) is not null))
            return CheckpointClassifier.Load(model, device, settings, cancellationToken);
        settings.CheckNone(model);
        return SavedModelClassifier.Load(model, CommonOptions.GpuDeviceId(device));
    }
}
