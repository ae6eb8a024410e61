namespace Siglip.Core;

/// <summary>Whose arithmetic turns images into pixel values. The two differ by up to 2 grey levels in a resized pixel and by 6e-8 in a pixel value, which
/// changes embeddings by up to about 0.01: use the one that the embeddings to compare with were made with.</summary>
public enum SiglipImageBackend
{
    /// <summary>Pillow and NumPy: <c>SiglipImageProcessor</c> and <c>Siglip2ImageProcessor</c> of transformers 4 (unless <c>use_fast=True</c>),
    /// <c>SiglipImageProcessorPil</c> and <c>Siglip2ImageProcessorPil</c> of transformers 5. The same on every machine.</summary>
    Pillow = 0,

    /// <summary>torchvision on the CPU: <c>SiglipImageProcessor</c> and <c>Siglip2ImageProcessor</c> of transformers 5,
    /// <c>SiglipImageProcessorFast</c> and <c>Siglip2ImageProcessorFast</c> of transformers 4. These are the numbers of x86 processors with AVX2, computed
    /// here on every machine; torchvision itself resizes otherwise on a GPU, and bilinearly on processors without AVX2.</summary>
    Torchvision = 1,
}
