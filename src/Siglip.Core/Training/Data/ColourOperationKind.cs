namespace Siglip.Core;

/// <summary>The kinds of <see cref="ColourOperation"/>.</summary>
internal enum ColourOperationKind
{
    Identity,
    Brightness,
    Saturation,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}
