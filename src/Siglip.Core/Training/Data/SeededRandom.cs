namespace Siglip.Core;

/// <summary>Random numbers that follow from what they are for alone, not from those drawn before, so that images can be prepared in any order.</summary>
internal static class SeededRandom
{
    /// <summary>For the order of an epoch's images.</summary>
    public static Random ForOrder(int seed, int epoch) => From(seed, epoch, 0, 0);

    /// <summary>For the changes of an image.</summary>
    public static Random ForImage(int seed, int epoch, int index) => From(seed, epoch, 1, index);

    /// <summary>For what is done to a batch as a whole.</summary>
    public static Random ForBatch(int seed, int epoch, int batch) => From(seed, epoch, 2, batch);

    private static Random From(int seed, int epoch, int purpose, int index)
    {
        ulong state = (uint)seed;
        foreach (int number in (ReadOnlySpan<int>)[epoch, purpose, index])
            state = Mixed(state ^ (uint)number);
        return new Random((int)(state >> 33));
    }

    // The finalizer of SplitMix64 (Steele, Lea, Flood 2014): neighbouring numbers become unrelated ones.
    private static ulong Mixed(ulong state)
    {
        state += 0x9E3779B97F4A7C15;
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9;
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB;
        return state ^ (state >> 31);
    }
}
