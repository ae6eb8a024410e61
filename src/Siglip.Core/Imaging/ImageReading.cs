namespace Siglip.Core;

/// <summary>How image files are read.</summary>
/// <param name="ApplyExifOrientation">Whether images are turned as their EXIF data say.</param>
/// <param name="SizeFor">The size to which a picture of a given width and height is resized afterwards, for the codec to reduce it as far as that leaves
/// twice as many pixels on each side; null to decode all pixels, from the delegate too.</param>
internal sealed record ImageReading(bool ApplyExifOrientation, Func<int, int, (int Width, int Height)?>? SizeFor = null);
