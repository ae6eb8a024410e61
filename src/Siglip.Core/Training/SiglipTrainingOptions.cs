using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace Siglip.Core;

/// <summary>How a model is trained.</summary>
public sealed record SiglipTrainingOptions
{
    private static readonly JsonSerializerOptions Json = new()
    {
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals, // MaxGradientNorm may be infinite
        Converters = { new JsonStringEnumConverter() },
    };

    /// <summary>Number of passes over the training images. At least 1; the default is 10.</summary>
    public int Epochs { get; init; } = 10;

    /// <summary>Number of images in one forward pass. At least 1; the default is 64.</summary>
    public int BatchSize { get; init; } = 64;

    /// <summary>Number of batches whose gradients make one step, as one batch of that many times the images would, without its memory. The last step
    /// of an epoch may have fewer. At least 1; the default is 1.</summary>
    public int GradientAccumulation { get; init; } = 1;

    /// <summary>How gradients become new weights. The default is AdamW.</summary>
    public SiglipOptimizer Optimizer { get; init; }

    /// <summary>The highest learning rate. Above 0; the default is 3e-4.</summary>
    public double LearningRate { get; init; } = 3e-4;

    /// <summary>The learning rate that the cosine ends at. From 0 to <see cref="LearningRate"/>; the default is 0.</summary>
    public double MinLearningRate { get; init; }

    /// <summary>Share of all steps in which the learning rate rises from 0 to its highest; it then falls to <see cref="MinLearningRate"/> along a
    /// cosine. From 0 to below 1; the default is 0.05.</summary>
    public double WarmUpShare { get; init; } = 0.05;

    /// <summary>Number of steps of the warm-up, in place of <see cref="WarmUpShare"/>. At least 0, below the number of all steps; the default is
    /// null: the share decides.</summary>
    public int? WarmUpSteps { get; init; }

    /// <summary>Number of epochs of the warm-up, whole or not, in place of <see cref="WarmUpShare"/>. At least 0, below <see cref="Epochs"/>; the
    /// default is null: the share decides. Not together with <see cref="WarmUpSteps"/>.</summary>
    public double? WarmUpEpochs { get; init; }

    /// <summary>AdamW's decay of the running mean of the gradients. From 0 to below 1; the default is 0.9.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>AdamW's decay of the running mean of their squares. From 0 to below 1; the default is 0.999.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>What AdamW adds to the root of that mean. Above 0; the default is 1e-8.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>SGD's momentum. From 0 to below 1; the default is 0. Without effect on AdamW.</summary>
    public double Momentum { get; init; }

    /// <summary>Weight decay. At least 0; the default is 0.01.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>Whether the weight decay is on all parameters, as in a plain PyTorch script, or only on weight matrices and the probe: not on
    /// biases, norms and position embeddings. The default is false.</summary>
    public bool DecayAllParameters { get; init; }

    /// <summary>Share of the target probability that is spread over all classes. From 0 to below 1; the default is 0.</summary>
    public double LabelSmoothing { get; init; }

    /// <summary>The norm of all gradients together is cut to this. Above 0, <see cref="double.PositiveInfinity"/> for no limit; the default is 1.</summary>
    public double MaxGradientNorm { get; init; } = 1;

    /// <summary>
    /// Decay of an exponential moving average of the weights, which is what is measured after each epoch and what the model holds at the end of
    /// each epoch and of the training. From 0 (the default: none) to below 1; 0.999 averages about the last thousand steps. In the first steps the
    /// decay is less: (1 + step) / (10 + step), so that the start weights are forgotten.
    /// </summary>
    public double EmaDecay { get; init; }

    /// <summary>How training images are changed at random. The default flips them left to right and shifts them by up to an eighth of their size;
    /// <see cref="SiglipAugmentationOptions.None"/> leaves them as they are.</summary>
    public SiglipAugmentationOptions Augmentation { get; init; } = new();

    /// <summary>Whether images that cannot be read or decoded are counted (<see cref="SiglipTrainingProgress.SkippedImages"/>) and left out, instead of ending the
    /// training. In training another image of the epoch takes its place, so that batches keep their size; measurements go without it. The default is false.</summary>
    public bool SkipBadImages { get; init; }

    /// <summary>
    /// Share of each image's patches that a step leaves out, others in each step ("Scaling Language-Image Pre-training via Masking", 2023): steps take less time
    /// and memory, which is worth more than it loses when training from scratch. From 0 (the default: none) to below 1; at least one patch stays.
    /// </summary>
    public double PatchDropout { get; init; }

    /// <summary>Number of epochs, the first ones, that leave out patches; the others get the model used to whole images again. At least 0; the default is
    /// null: all.</summary>
    public int? PatchDropoutEpochs { get; init; }

    /// <summary>Of which embedding the classifier is to tell the class. The default is the mean and the pooled one, each by itself. A model without
    /// pooling head has the mean only.</summary>
    public SiglipClassifierInput ClassifierInput { get; init; }

    /// <summary>
    /// Number of encoder layers, the last ones, that are trained, with all that comes after them: final layer norm, pooling head, classifier. 0 trains the
    /// classifier only: every image is embedded once, without <see cref="Augmentation"/>, and the classifier learns from the stored embeddings. With
    /// <see cref="Lora"/>, the number of layers that get additions. At least 0, or 1 with <see cref="Lora"/>, at most the model's layers; the default is null:
    /// everything is trained.
    /// </summary>
    public int? TrainedLayers { get; init; }

    /// <summary>Factor of the learning rate from each layer to the one before it: the classifier has the whole rate; the pooling head, the final layer norm and
    /// the last layer that times this; the layer before it that times this², and so on down to the embeddings, which have this to the power of the layers + 1.
    /// Above 0 and at most 1, the default: all alike.</summary>
    public double LayerLearningRateDecay { get; init; } = 1;

    /// <summary>To train low-rank additions to the weight matrices (LoRA) and the classifier, instead of all weights. At the end of each epoch and of the
    /// training the model has plain weights, with the additions merged into them. The default is null: none.</summary>
    public SiglipLoraOptions? Lora { get; init; }

    /// <summary>
    /// In what precision the forward and the backward pass compute: <see cref="SiglipPrecision.Float32"/> (the default) or
    /// <see cref="SiglipPrecision.BFloat16"/>, torch's autocast, which takes less memory and is faster on GPUs and on processors with AVX512-BF16 or AMX, but slower on
    /// others. Weights, gradients, moments, averages, layer norms and the loss stay float32; measurements are in float32.
    /// </summary>
    public SiglipPrecision Precision { get; init; }

    /// <summary>Number of epochs without a lower validation loss after which the training ends; the model then has the weights of the epoch with the
    /// lowest, also if all epochs were done. At least 1; the default is null: all epochs, and the weights of the last. Needs validation images, and memory for
    /// another copy of the weights. A loss that is not a number is not lower than any other.</summary>
    public int? EarlyStoppingPatience { get; init; }

    /// <summary>Decides the order of the images, their augmentation and dropout. The default is 0.</summary>
    public int Seed { get; init; }

    /// <summary>Where the model is trained: <c>cpu</c> (the default), <c>cuda</c> or <c>cuda:1</c>.</summary>
    public string Device { get; init; } = "cpu";

    /// <summary>
    /// A file that gets all that a stopped training needs to go on: weights, optimizer, average and position. It is written at the start, at the end of each
    /// epoch, every <see cref="StateInterval"/> steps, and when the training is cancelled, under another name first, so that it is whole at any
    /// time. It is up to five times as large as the model. Null (the default) for none.
    /// </summary>
    public string? StatePath { get; init; }

    /// <summary>Number of steps between two writes of <see cref="StatePath"/>. At least 0; 0 (the default) for the end of each epoch only.</summary>
    public int StateInterval { get; init; }

    /// <summary>
    /// Whether to go on from <see cref="StatePath"/>, if that file exists; otherwise the training starts anew, and writes it. A training that goes on
    /// ends with the same weights, to the bit, as one that was never stopped, on the same machine with the same images and options. The default is false.
    /// </summary>
    public bool Resume { get; init; }

    /// <summary>What decides about the weights that a training ends with, and so must not change when it is resumed.</summary>
    internal JsonObject ToJsonOfWhatDecides() =>
        JsonSerializer.SerializeToNode(this with { Device = "cpu", StatePath = null, StateInterval = 0, Resume = false }, Json)!.AsObject();

    /// <summary>Share of the patches that an epoch leaves out.</summary>
    /// <param name="epoch">From 1.</param>
    internal double PatchDropoutIn(int epoch) => epoch <= (PatchDropoutEpochs ?? Epochs) ? PatchDropout : 0;

    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Epochs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(BatchSize, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(GradientAccumulation, 1);
        Require(Enum.IsDefined(Optimizer), Optimizer, nameof(Optimizer), "AdamW or Sgd");
        Require(Enum.IsDefined(ClassifierInput), ClassifierInput, nameof(ClassifierInput), "MeanAndPooled, Mean or Pooled");
        Require(LearningRate > 0 && double.IsFinite(LearningRate), LearningRate, nameof(LearningRate), "a finite number above 0");
        Require(MinLearningRate >= 0 && MinLearningRate <= LearningRate, MinLearningRate, nameof(MinLearningRate), "a number from 0 to LearningRate");
        Require(WarmUpShare is >= 0 and < 1, WarmUpShare, nameof(WarmUpShare), "a number from 0 to below 1");
        Require(WarmUpSteps is null or >= 0, WarmUpSteps, nameof(WarmUpSteps), "a number of at least 0, or null");
        Require(WarmUpEpochs is null || (WarmUpEpochs >= 0 && WarmUpEpochs < Epochs), WarmUpEpochs, nameof(WarmUpEpochs), "a number from 0 to below Epochs, or null");
        Require(WarmUpSteps is null || WarmUpEpochs is null, WarmUpEpochs, nameof(WarmUpEpochs), "null, because WarmUpSteps is set; set one of the two");
        RequireShare(Beta1, nameof(Beta1));
        RequireShare(Beta2, nameof(Beta2));
        Require(Epsilon > 0 && double.IsFinite(Epsilon), Epsilon, nameof(Epsilon), "a finite number above 0");
        RequireShare(Momentum, nameof(Momentum));
        Require(WeightDecay >= 0 && double.IsFinite(WeightDecay), WeightDecay, nameof(WeightDecay), "a finite number of at least 0");
        RequireShare(LabelSmoothing, nameof(LabelSmoothing));
        Require(MaxGradientNorm > 0, MaxGradientNorm, nameof(MaxGradientNorm), "a number above 0");
        RequireShare(EmaDecay, nameof(EmaDecay));
        ArgumentNullException.ThrowIfNull(Augmentation);
        Augmentation.Validate();
        RequireShare(PatchDropout, nameof(PatchDropout));
        Require(PatchDropoutEpochs is null or >= 0, PatchDropoutEpochs, nameof(PatchDropoutEpochs), "a number of at least 0, or null");
        Require(TrainedLayers is null or >= 0, TrainedLayers, nameof(TrainedLayers), "a number of at least 0, or null");
        Require(LayerLearningRateDecay is > 0 and <= 1, LayerLearningRateDecay, nameof(LayerLearningRateDecay), "a number above 0, at most 1");
        Require(
            TrainedLayers != 0 || PatchDropout == 0, PatchDropout, nameof(PatchDropout), "0, because TrainedLayers is 0, with which the images are embedded once, as wholes");
        Require(Lora is null || TrainedLayers != 0, TrainedLayers, nameof(TrainedLayers), "at least 1, or null, because Lora is set, whose additions are in the layers");
        Lora?.Validate();
        Require(Precision is SiglipPrecision.Float32 or SiglipPrecision.BFloat16, Precision, nameof(Precision), "Float32 or BFloat16");
        Require(EarlyStoppingPatience is null or >= 1, EarlyStoppingPatience, nameof(EarlyStoppingPatience), "a number of at least 1, or null");
        ArgumentOutOfRangeException.ThrowIfLessThan(StateInterval, 0);
        Require(StatePath is not "", StatePath, nameof(StatePath), "a file's path, or null");
        Require(StatePath is not null || StateInterval == 0, StateInterval, nameof(StateInterval), "0, because StatePath is not set; set it, too");
        Require(StatePath is not null || !Resume, Resume, nameof(Resume), "false, because StatePath is not set; set it, too");
    }

    private static void RequireShare(double value, string name) => Require(value is >= 0 and < 1, value, name, "a number from 0 to below 1");

    // Not the ThrowIf methods of ArgumentOutOfRangeException: they let NaN pass.
    private static void Require(bool condition, object? value, string name, string expected)
    {
        if (!condition)
            throw new ArgumentOutOfRangeException(name, value, $"Expected {expected}.");
    }
}
