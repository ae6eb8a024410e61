namespace Siglip.Core;

/// <summary>The colour map viridis, from dark blue over green to yellow: equal steps of a number look equally large, also to colour-blind eyes and in grey.</summary>
/// <remarks>By Nathaniel Smith and Stéfan van der Walt (2015, CC0). Ten of its colours at equal distances, and straight lines between them.</remarks>
internal static class Viridis
{
    private static readonly int[] Knots = [0x440154, 0x482878, 0x3e4a89, 0x31688e, 0x26828e, 0x1f9e89, 0x35b779, 0x6dcd59, 0xb4de2c, 0xfde725];

    /// <param name="share">From 0 to 1.</param>
    public static (byte Red, byte Green, byte Blue) Of(double share)
    {
        double place = Math.Clamp(share, 0, 1) * (Knots.Length - 1);
        int knot = Math.Min((int)place, Knots.Length - 2);
        return (Mix(16), Mix(8), Mix(0));

        byte Mix(int shift)
        {
            int low = (Knots[knot] >> shift) & 0xff, high = (Knots[knot + 1] >> shift) & 0xff;
            return (byte)Math.Round(low + ((place - knot) * (high - low)));
        }
    }
}
