namespace Siglip.Core;

/// <summary>Room for a batch, used again and again. Plain memory, not tensors, so that nothing is left behind if nobody takes it.</summary>
internal sealed class PreparedBatch(int batchSize, int valuesOfImage, int classes)
{
    private readonly float[] _pixelValues = new float[batchSize * valuesOfImage];
    private readonly float[] _targets = new float[batchSize * classes];

    /// <summary>Images in it.</summary>
    public int Count { get; set; }

    /// <summary>[count, 3, height, width].</summary>
    public Memory<float> PixelValues => _pixelValues.AsMemory(0, Count * valuesOfImage);

    /// <summary>[count, classes].</summary>
    public Memory<float> Targets => _targets.AsMemory(0, Count * classes);

    /// <summary>Moves the rows that are kept together; the others are gone.</summary>
    public void Keep(bool[] kept)
    {
        int count = 0;
        for (int row = 0; row < kept.Length; row++)
        {
            if (!kept[row])
                continue;
            if (count < row)
            {
                PixelValuesOf(row).CopyTo(PixelValuesOf(count));
                TargetsOf(row).CopyTo(TargetsOf(count));
            }

            count++;
        }

        Count = count;
    }

    public Span<float> PixelValuesOf(int row) => _pixelValues.AsSpan(row * valuesOfImage, valuesOfImage);

    public Span<float> TargetsOf(int row) => _targets.AsSpan(row * classes, classes);
}
