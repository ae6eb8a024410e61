namespace Siglip.Core;

/// <summary>The filter of a resizing, with the numbers of Pillow and of <c>preprocessor_config.json</c>.</summary>
public enum ImageResampling
{
    /// <summary>Triangle filter, with a support that grows with the reduction. Used by SigLIP 2.</summary>
    Bilinear = 2,

    /// <summary>Cubic filter with a = -0.5, with a support that grows with the reduction. Used by SigLIP.</summary>
    Bicubic = 3,
}
