namespace Siglip.Bench;

internal static class Similarity
{
    /// <summary>Of two embeddings: 1 if they point into the same direction.</summary>
    public static double Cosine(float[] one, float[] other)
    {
        double product = 0, ofOne = 0, ofOther = 0;
        for (int i = 0; i < one.Length; i++)
        {
            product += (double)one[i] * other[i];
            ofOne += (double)one[i] * one[i];
            ofOther += (double)other[i] * other[i];
        }

        return product / Math.Sqrt(ofOne * ofOther);
    }
}
