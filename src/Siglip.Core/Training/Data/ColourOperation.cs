namespace Siglip.Core;

/// <summary>A change of colours of a drawn kind and strength.</summary>
/// <remarks>Source: torchvision, transforms/autoaugment.py, RandAugment, without the operations that move pixels.</remarks>
internal readonly record struct ColourOperation(ColourOperationKind Kind, double Strength)
{
    /// <summary>The highest magnitude: torchvision's 31 steps, from 0.</summary>
    public const int HighestMagnitude = 30;

    /// <summary>Draws one of the kinds, each as likely as the others.</summary>
    /// <param name="random">Decides.</param>
    /// <param name="magnitude">0 to <see cref="HighestMagnitude"/>.</param>
    public static ColourOperation Draw(Random random, int magnitude)
    {
        var kind = (ColourOperationKind)random.Next((int)ColourOperationKind.Equalize + 1);
        bool weaker = random.Next(2) == 1; // drawn for all kinds, so that what follows does not depend on it
        double share = (double)magnitude / HighestMagnitude;
        return new ColourOperation(kind, kind switch
        {
            ColourOperationKind.Posterize => 8 - (int)Math.Round(share * 4),
            ColourOperationKind.Solarize => 255 * (1 - share),
            _ => weaker ? 1 - (0.9 * share) : 1 + (0.9 * share),
        });
    }

    public RgbImage Apply(RgbImage image) => Kind switch
    {
        ColourOperationKind.Brightness => ImageColours.Brightness(image, Strength),
        ColourOperationKind.Saturation => ImageColours.Saturation(image, Strength),
        ColourOperationKind.Contrast => ImageColours.Contrast(image, Strength),
        ColourOperationKind.Sharpness => ImageColours.Sharpness(image, Strength),
        ColourOperationKind.Posterize => ImageColours.Posterize(image, (int)Strength),
        ColourOperationKind.Solarize => ImageColours.Solarize(image, Strength),
        ColourOperationKind.AutoContrast => ImageColours.AutoContrast(image),
        ColourOperationKind.Equalize => ImageColours.Equalize(image),
        _ => image,
    };
}
