namespace Siglip.Core;

/// <summary>An image that is good, and that the preprocessing does not take all the same, such as one of another size without resizing.</summary>
internal static class UnfitImage
{
    /// <summary>The preprocessing's error as one of an image that the message names.</summary>
    /// <param name="source">What the message calls the image, such as its path.</param>
    /// <param name="refusal">What the preprocessing threw.</param>
    public static InvalidDataException Named(string source, ArgumentException refusal) =>
        new($"{source}: {refusal.Message.Split(" (Parameter '")[0]}", refusal);
}
