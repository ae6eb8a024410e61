using Siglip.Core;

namespace Siglip.Bench;

/// <summary>Gradients with noise, made by a formula in integers; pillow_resize.py makes the same pixels.</summary>
internal static class SyntheticImage
{
    public static RgbImage Create(int width, int height)
    {
        var pixels = new byte[width * height * 3];
        int i = 0;
        for (uint y = 0; y < height; y++)
        {
            for (uint x = 0; x < width; x++)
            {
                pixels[i++] = Mix(x * 255 / ((uint)width - 1), Noise(x, y, 0));
                pixels[i++] = Mix(y * 255 / ((uint)height - 1), Noise(x, y, 1));
                pixels[i++] = Mix((x + y) * 255 / (uint)(width + height - 2), Noise(x, y, 2));
            }
        }

        return new RgbImage(width, height, pixels);
    }

    private static byte Mix(uint gradient, uint noise) => (byte)(((3 * gradient) + noise) / 4);

    private static uint Noise(uint x, uint y, uint channel)
    {
        uint hash = (x * 0x9E3779B1) + (y * 0x85EBCA77) + (channel * 0xC2B2AE3D);
        hash = (hash ^ (hash >> 15)) * 0x2C1B3C6D;
        return (hash ^ (hash >> 12)) >> 24;
    }
}
