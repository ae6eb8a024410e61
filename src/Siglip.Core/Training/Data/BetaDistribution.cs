namespace Siglip.Core;

/// <summary>Draws from Beta(alpha, alpha), the distribution of shares in mixup and CutMix.</summary>
/// <remarks>Not torch's: it draws from one generator of the process, which other threads use too.</remarks>
internal static class BetaDistribution
{
    /// <param name="random">Decides.</param>
    /// <param name="alpha">Above 0.</param>
    public static double Draw(Random random, double alpha)
    {
        // The ratio of gamma variates, from their logarithms, because those themselves are 0 for small alphas.
        double first = LogGamma(random, alpha), second = LogGamma(random, alpha);
        return 1 / (1 + Math.Exp(second - first));
    }

    // Marsaglia and Tsang, A Simple Method for Generating Gamma Variables, 2000; below 1 a variate of alpha + 1 times a power of a uniform one.
    private static double LogGamma(Random random, double alpha)
    {
        if (alpha < 1)
            return LogGamma(random, alpha + 1) + (Math.Log(1 - random.NextDouble()) / alpha);
        double d = alpha - (1.0 / 3), c = 1 / Math.Sqrt(9 * d);
        while (true)
        {
            double normal = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
            double v = Math.Pow(1 + (c * normal), 3);
            if (v > 0 && Math.Log(1 - random.NextDouble()) < (0.5 * normal * normal) + d - (d * v) + (d * Math.Log(v)))
                return Math.Log(d) + Math.Log(v);
        }
    }
}
