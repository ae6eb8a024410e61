namespace Siglip.MLNet;

/// <summary>Arrays with a place for each row of a batch. They grow with the rows that are read, so that a large batch size costs nothing
/// where rows are few.</summary>
internal static class Slots
{
    /// <summary>Makes a slot usable.</summary>
    /// <param name="values">[slots × length].</param>
    /// <param name="slot">From 0.</param>
    /// <param name="length">Number of values of one slot.</param>
    public static void Ensure<T>(ref T[] values, int slot, int length = 1)
    {
        long needed = (slot + 1L) * length;
        if (needed > values.Length)
            Array.Resize(ref values, checked((int)Math.Min(Math.Max(needed, 2L * values.Length), Array.MaxLength)));
    }
}
