namespace Siglip.Core;

/// <summary>Images whose classes are known, read one at a time: folders, the files of CIFAR-10, or whatever a program has.</summary>
/// <remarks>Any number of threads read at once.</remarks>
public interface ILabeledImages
{
    /// <summary>The classes' names.</summary>
    IReadOnlyList<string> Labels { get; }

    /// <summary>Number of images.</summary>
    int Count { get; }

    /// <summary>The class of an image: index into <see cref="Labels"/>.</summary>
    /// <param name="index">From 0 to below <see cref="Count"/>.</param>
    int LabelOf(int index);

    /// <summary>What messages call an image, such as its path.</summary>
    /// <param name="index">From 0 to below <see cref="Count"/>.</param>
    string NameOf(int index);

    /// <summary>Reads an image; the same one each time.</summary>
    /// <param name="index">From 0 to below <see cref="Count"/>.</param>
    /// <exception cref="InvalidDataException">It is no image, or a damaged one.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    RgbImage Load(int index);
}
