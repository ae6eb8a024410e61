namespace Siglip.Core;

/// <summary>Random numbers that follow from what they are for alone, not from those drawn before, so that images can be prepared in any order.</summary>
internal static class SeededRandom
{
    /// <summary>For the order of an epoch's images.</summary>
    public static Random ForOrder(int seed, int epoch) => new(StableSeed.Of(seed, epoch, 0));

    /// <summary>For the changes of an image.</summary>
    public static Random ForImage(int seed, int epoch, int index) => new(StableSeed.Of(seed, epoch, 1, index));

    /// <summary>For what is done to a batch as a whole.</summary>
    public static Random ForBatch(int seed, int epoch, int batch) => new(StableSeed.Of(seed, epoch, 2, batch));
}
