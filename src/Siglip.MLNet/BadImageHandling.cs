namespace Siglip.MLNet;

/// <summary>What happens to a row whose image is missing, damaged or no image, or cannot be loaded by an earlier step.</summary>
public enum BadImageHandling
{
    /// <summary>Reading the row's embedding throws an exception that names the row and the image.</summary>
    Throw = 0,

    /// <summary>The row's embedding is all <see cref="float.NaN"/>, ML.NET's missing value.</summary>
    Missing = 1,
}
