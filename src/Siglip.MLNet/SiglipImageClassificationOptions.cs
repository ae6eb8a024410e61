using Microsoft.ML;
using Siglip.Core;

namespace Siglip.MLNet;

/// <summary>Options for the <see cref="SiglipImageClassificationTrainer"/> as used in
/// <see cref="SiglipCatalog.SiglipImageClassification(MulticlassClassificationCatalog.MulticlassClassificationTrainers, string, string, SiglipImageClassificationOptions?)"/>:
/// where the training starts, how it goes, and what the trained model does.</summary>
/// <remarks>A record, so one that differs in an option is <c>options with { BatchSize = 64 }</c>.</remarks>
public sealed record SiglipImageClassificationOptions
{
    /// <summary>The checkpoint that the training starts from: a folder with config.json, preprocessor_config.json and model.safetensors; a model of the Hugging Face
    /// hub by its id, such as google/siglip2-base-patch16-224; or <c>nano</c>. Its model has fixed resolution. It gets a new classifier, unless it has one for the
    /// same classes in the same order.</summary>
    /// <value>The default is <c>nano</c>, the small model that comes with the library.</value>
    public string Model { get; init; } = "nano";

    /// <summary>For a model of the Hugging Face hub: a branch, a tag or a commit.</summary>
    /// <value>The default, null, means that in <see cref="Model"/>, or main.</value>
    public string? Revision { get; init; }

    /// <summary>Whether a model of the Hugging Face hub is taken from the cache only.</summary>
    /// <value>The default, false, means that the environment decides (<c>HF_HUB_OFFLINE</c>).</value>
    public bool Offline { get; init; }

    /// <summary>The sizes of a new model with random weights, which is trained from scratch in place of <see cref="Model"/>.</summary>
    /// <value>The default, null, means that the training starts from <see cref="Model"/>.</value>
    public SiglipVisionConfig? Config { get; init; }

    /// <summary>Whether the new model of <see cref="Config"/> gets the start weights of "Mimetic Initialization of Self-Attention Layers", with which few
    /// images teach it more (<see cref="SiglipForImageClassification.InitializeMimetic"/>).</summary>
    /// <value>The default is false.</value>
    public bool MimeticInitialization { get; init; }

    /// <summary>Height and width of the images that the model is trained on, in pixels, if other than its own: its position embeddings are interpolated (bicubic)
    /// once, and the trained model has this size.</summary>
    /// <value>At least the patch size; the default, null, is that of the model.</value>
    public int? ImageSize { get; init; }

    /// <summary>How the model is trained: epochs, batch size, learning rate, augmentation, seed and more. Its <see cref="SiglipTrainingOptions.Device"/> stays as
    /// it is: <see cref="GpuDeviceId"/> or the context choose the device.</summary>
    /// <value>The default is <c>new SiglipTrainingOptions()</c>.</value>
    public SiglipTrainingOptions Training { get; init; } = new();

    /// <summary>Images to measure with after each epoch, in columns of the same names and with the same keys as the training data.</summary>
    /// <value>The default, null, means none, or <see cref="ValidationSetFraction"/>.</value>
    public IDataView? ValidationSet { get; init; }

    /// <summary>Share of the training images, of each class, that is held out at random to measure with after each epoch.</summary>
    /// <value>Above 0 and below 1; the default, null, means none, or <see cref="ValidationSet"/>.</value>
    public double? ValidationSetFraction { get; init; }

    /// <summary>Is told of every step of the training, on the thread of <see cref="SiglipImageClassificationTrainer.Fit"/>.</summary>
    /// <value>The default, null, means nobody; the context's log tells of it in any case.</value>
    public IProgress<SiglipTrainingProgress>? Progress { get; init; }

    /// <summary>The column of the predicted class.</summary>
    /// <value>The default is <c>PredictedLabel</c>.</value>
    public string PredictedLabelColumnName { get; init; } = "PredictedLabel";

    /// <summary>The column of the classes' probabilities.</summary>
    /// <value>The default is <c>Score</c>.</value>
    public string ScoreColumnName { get; init; } = "Score";

    /// <summary>The folder that relative paths in a text column start from. A saved model holds it as it is given here, so leave it null, or
    /// give a relative one, for a model that goes to other machines.</summary>
    /// <value>The default, null, means the current directory.</value>
    public string? ImageFolder { get; init; }

    /// <summary>Whether encoded images are turned as their EXIF data say. An <c>MLImage</c> no longer has such data.</summary>
    /// <value>The default is false, as in transformers' image processor.</value>
    public bool ApplyExifOrientation { get; init; }

    /// <summary>The number of images in one forward pass of the trained model, and so of the rows that are read ahead. That of the training is in
    /// <see cref="Training"/>.</summary>
    /// <value>At least 1; the default is 16.</value>
    public int BatchSize { get; init; } = 16;

    /// <summary>What the trained model does with a row whose image cannot be read: <see cref="BadImageHandling.Missing"/> makes scores of
    /// <see cref="float.NaN"/> and the missing key. Whether the training leaves such images out is <see cref="SiglipTrainingOptions.SkipBadImages"/>.</summary>
    /// <value>The default is <see cref="BadImageHandling.Throw"/>.</value>
    public BadImageHandling BadImages { get; init; }

    /// <summary>The CUDA device that trains and predicts, from 0. It is not part of a saved model: where that is loaded, <c>MLContext.GpuDeviceId</c> and
    /// <c>MLContext.FallbackToCpu</c> of the loading context decide.</summary>
    /// <value>The default, null, means <c>MLContext.GpuDeviceId</c> and <c>MLContext.FallbackToCpu</c>; the CPU if that is null too.</value>
    public int? GpuDeviceId { get; init; }

    /// <summary>Whether the CPU computes where the CUDA device of <see cref="GpuDeviceId"/> is missing; otherwise that is an error. Without
    /// effect if no device is given there. It is not part of a saved model.</summary>
    /// <value>The default is false.</value>
    public bool FallbackToCpu { get; init; }

    /// <summary>Ends the training before the next step, and the trained model's reading before the next batch, with an <see cref="OperationCanceledException"/>.
    /// It is not part of a saved model.</summary>
    /// <value>The default is never canceled.</value>
    public CancellationToken CancellationToken { get; init; }
}
