namespace Siglip.Core.Tests;

/// <summary>Images that are counted when they are read.</summary>
internal sealed class CountedImages(ILabeledImages images, Action<int>? read = null) : ILabeledImages
{
    private int _reads;

    public int Reads => _reads;

    public IReadOnlyList<string> Labels => images.Labels;

    public int Count => images.Count;

    public int LabelOf(int index) => images.LabelOf(index);

    public string NameOf(int index) => images.NameOf(index);

    public RgbImage Load(int index)
    {
        int count = Interlocked.Increment(ref _reads);
        read?.Invoke(count);
        return images.Load(index);
    }
}
