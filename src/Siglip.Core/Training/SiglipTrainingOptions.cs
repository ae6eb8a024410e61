namespace Siglip.Core;

/// <summary>How a model is trained.</summary>
public sealed record SiglipTrainingOptions
{
    /// <summary>Number of passes over the training images. At least 1; the default is 10.</summary>
    public int Epochs { get; init; } = 10;

    /// <summary>Number of images in one step. At least 1; the default is 64.</summary>
    public int BatchSize { get; init; } = 64;

    /// <summary>The highest learning rate of AdamW. Above 0; the default is 3e-4.</summary>
    public double LearningRate { get; init; } = 3e-4;

    /// <summary>AdamW's weight decay. At least 0; the default is 0.01.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>Whether the weight decay is on all parameters, as in a plain PyTorch script, or only on weight matrices and the probe: not on
    /// biases, norms and position embeddings. The default is false.</summary>
    public bool DecayAllParameters { get; init; }

    /// <summary>Share of all steps in which the learning rate rises from 0 to its highest; it then falls to 0 along a cosine. From 0 to below 1; the
    /// default is 0.05.</summary>
    public double WarmUpShare { get; init; } = 0.05;

    /// <summary>Share of the target probability that is spread over all classes. From 0 to below 1; the default is 0.</summary>
    public double LabelSmoothing { get; init; }

    /// <summary>The gradients' norm is cut to this. Above 0; the default is 1.</summary>
    public double MaxGradientNorm { get; init; } = 1;

    /// <summary>Whether training images are flipped left to right at random, and shifted by up to an eighth of their size. The default is true.</summary>
    public bool Augment { get; init; } = true;

    /// <summary>
    /// Whether the loss is the mean of two: of the classifier on the mean patch embedding, which transformers' image classification uses, and of
    /// the same classifier on the pooled embedding; the pooling head is trained only so. Without effect if the model has no head. The default is true.
    /// </summary>
    public bool TrainPoolingHead { get; init; } = true;

    /// <summary>Decides the order of the images and their augmentation. The default is 0.</summary>
    public int Seed { get; init; }

    /// <summary>Where the model is trained: <c>cpu</c> (the default), <c>cuda</c> or <c>cuda:1</c>.</summary>
    public string Device { get; init; } = "cpu";

    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Epochs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(BatchSize, 1);
        Require(LearningRate > 0 && double.IsFinite(LearningRate), LearningRate, nameof(LearningRate), "a finite number above 0");
        Require(WeightDecay >= 0 && double.IsFinite(WeightDecay), WeightDecay, nameof(WeightDecay), "a finite number of at least 0");
        Require(WarmUpShare is >= 0 and < 1, WarmUpShare, nameof(WarmUpShare), "a number from 0 to below 1");
        Require(LabelSmoothing is >= 0 and < 1, LabelSmoothing, nameof(LabelSmoothing), "a number from 0 to below 1");
        Require(MaxGradientNorm > 0, MaxGradientNorm, nameof(MaxGradientNorm), "a number above 0");
    }

    // Not the ThrowIf methods of ArgumentOutOfRangeException: they let NaN pass.
    private static void Require(bool condition, double value, string name, string expected)
    {
        if (!condition)
            throw new ArgumentOutOfRangeException(name, value, $"Expected {expected}.");
    }
}
