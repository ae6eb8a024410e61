namespace Siglip.Core;

/// <summary>Seeds of parts of a training, the same in every process; HashCode is different in each.</summary>
internal static class StableSeed
{
    /// <summary>Mixes a seed with numbers such as the epoch's and the image's; neighbours have nothing in common.</summary>
    public static int Of(int seed, params ReadOnlySpan<int> numbers)
    {
        ulong state = Mix((uint)seed);
        foreach (int number in numbers)
            state = Mix(state ^ (uint)number);
        return (int)state;
    }

    // A step of SplitMix64 ("Fast Splittable Pseudorandom Number Generators", 2014).
    private static ulong Mix(ulong state)
    {
        state += 0x9E3779B97F4A7C15;
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9;
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB;
        return state ^ (state >> 31);
    }
}
