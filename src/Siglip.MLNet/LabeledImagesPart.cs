using Siglip.Core;

namespace Siglip.MLNet;

/// <summary>Some of the images of a data set.</summary>
internal sealed class LabeledImagesPart(ILabeledImages images, int[] indices) : ILabeledImages
{
    public IReadOnlyList<string> Labels => images.Labels;

    public int Count => indices.Length;

    /// <summary>Divides a data set at random, class by class, so that both parts have the classes in the same proportion. A class of one image is kept.</summary>
    /// <param name="images">The data set.</param>
    /// <param name="heldOutShare">Above 0, below 1; at least one image of each class of several is held out.</param>
    /// <param name="seed">The same seed gives the same parts.</param>
    public static (LabeledImagesPart Kept, LabeledImagesPart HeldOut) Split(ILabeledImages images, double heldOutShare, int seed)
    {
        var random = new Random(seed);
        List<int> kept = [], heldOut = [];
        foreach (IGrouping<int, int> group in Enumerable.Range(0, images.Count).GroupBy(images.LabelOf).OrderBy(group => group.Key))
        {
            int[] members = [.. group];
            random.Shuffle(members);
            int count = members.Length == 1 ? 0 : Math.Clamp((int)Math.Round(members.Length * heldOutShare), 1, members.Length - 1);
            heldOut.AddRange(members[..count]);
            kept.AddRange(members[count..]);
        }

        return (new LabeledImagesPart(images, [.. kept.Order()]), new LabeledImagesPart(images, [.. heldOut.Order()]));
    }

    public int LabelOf(int index) => images.LabelOf(indices[index]);

    public string NameOf(int index) => images.NameOf(indices[index]);

    public RgbImage Load(int index) => images.Load(indices[index]);
}
