namespace Siglip.Core;

/// <summary>How training images are changed at random before the model sees them, each time in another way.</summary>
/// <remarks>
/// The defaults flip and shift only. Each image's changes follow from the seed, the epoch and its position in the data set alone. Order: crop, or resize of the
/// whole image; shift and flip; colours; then, on the batch, mixup or cutmix.
/// </remarks>
public sealed record SiglipAugmentationOptions
{
    /// <summary>No change at all: images are resized as for inference.</summary>
    public static SiglipAugmentationOptions None { get; } = new() { FlipProbability = 0, MaxShift = 0 };

    /// <summary>How likely an image is flipped left to right. From 0 to 1; the default is 0.5.</summary>
    public double FlipProbability { get; init; } = 0.5;

    /// <summary>The largest shift, up, down, left and right, as a share of the shorter side; black comes in. At least one pixel if it is not 0. From 0 to below 1;
    /// the default is 0.125.</summary>
    public double MaxShift { get; init; } = 0.125;

    /// <summary>Whether a part of each image is taken, of random area and aspect ratio, and resized to the model's size, as torchvision's
    /// <c>RandomResizedCrop</c> does. The default is false: the whole image is resized.</summary>
    public bool RandomResizedCrop { get; init; }

    /// <summary>The smallest part for <see cref="RandomResizedCrop"/>, as a share of the area. Above 0, at most <see cref="MaxCropArea"/>; the default is 0.08.</summary>
    public double MinCropArea { get; init; } = 0.08;

    /// <summary>The largest part for <see cref="RandomResizedCrop"/>, as a share of the area. At most 1, which is the default.</summary>
    public double MaxCropArea { get; init; } = 1;

    /// <summary>The smallest width divided by height for <see cref="RandomResizedCrop"/>. Above 0, at most <see cref="MaxCropAspectRatio"/>; the default is 3/4.</summary>
    public double MinCropAspectRatio { get; init; } = 3.0 / 4;

    /// <summary>The largest width divided by height for <see cref="RandomResizedCrop"/>. The default is 4/3.</summary>
    public double MaxCropAspectRatio { get; init; } = 4.0 / 3;

    /// <summary>
    /// Number of random changes of an image's colours, one after the other: those of RandAugment that move no pixels (brightness, saturation, contrast, sharpness,
    /// posterize, solarize, autocontrast, equalize, none), with Pillow's pixels. From 0 to 10; the default is 0.
    /// </summary>
    public int ColourOperations { get; init; }

    /// <summary>Strength of the changes of colours, on torchvision's scale for RandAugment. From 0 to 30; the default is 9.</summary>
    public int ColourMagnitude { get; init; } = 9;

    /// <summary>
    /// For mixup (Zhang et al., 2018): each image is blended with another of the batch, and so are their classes; the share is drawn per batch from
    /// Beta(alpha, alpha). From 0, which means none, to 100; the default is 0.
    /// </summary>
    public double MixupAlpha { get; init; }

    /// <summary>
    /// For CutMix (Yun et al., 2019): a rectangle of each image comes from another of the batch, and as much of its class; the share is drawn per batch from
    /// Beta(alpha, alpha). With <see cref="MixupAlpha"/> too, each batch gets one of both, equally likely. From 0, which means none, to 100; the default is 0.
    /// </summary>
    public double CutMixAlpha { get; init; }

    /// <summary>How likely a batch is mixed. From 0 to 1; the default is 1.</summary>
    public double MixProbability { get; init; } = 1;

    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range.</exception>
    internal void Validate()
    {
        Require(FlipProbability is >= 0 and <= 1, FlipProbability, nameof(FlipProbability), "a number from 0 to 1");
        Require(MaxShift is >= 0 and < 1, MaxShift, nameof(MaxShift), "a number from 0 to below 1");
        Require(MaxCropArea is > 0 and <= 1, MaxCropArea, nameof(MaxCropArea), "a number above 0, at most 1");
        Require(MinCropArea > 0 && MinCropArea <= MaxCropArea, MinCropArea, nameof(MinCropArea), $"a number above 0, at most {nameof(MaxCropArea)}");
        Require(MaxCropAspectRatio > 0 && double.IsFinite(MaxCropAspectRatio), MaxCropAspectRatio, nameof(MaxCropAspectRatio), "a finite number above 0");
        Require(MinCropAspectRatio > 0 && MinCropAspectRatio <= MaxCropAspectRatio, MinCropAspectRatio, nameof(MinCropAspectRatio),
            $"a number above 0, at most {nameof(MaxCropAspectRatio)}");
        Require(ColourOperations is >= 0 and <= 10, ColourOperations, nameof(ColourOperations), "a number from 0 to 10");
        Require(ColourMagnitude is >= 0 and <= ColourOperation.HighestMagnitude, ColourMagnitude, nameof(ColourMagnitude), "a number from 0 to 30");
        Require(MixupAlpha is >= 0 and <= 100, MixupAlpha, nameof(MixupAlpha), "a number from 0 to 100");
        Require(CutMixAlpha is >= 0 and <= 100, CutMixAlpha, nameof(CutMixAlpha), "a number from 0 to 100");
        Require(MixProbability is >= 0 and <= 1, MixProbability, nameof(MixProbability), "a number from 0 to 1");
    }

    private static void Require(bool condition, double value, string name, string expected)
    {
        if (!condition)
            throw new ArgumentOutOfRangeException(name, value, $"Expected {expected}.");
    }
}
