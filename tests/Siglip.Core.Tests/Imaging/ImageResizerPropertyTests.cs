using CsCheck;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>Promises about resizing for random sizes. A failure names the seed of its case.</summary>
[TestClass]
public sealed class ImageResizerPropertyTests
{
    // Very small sizes more often than chance would have it: there vectors are larger than a row.
    private static readonly Gen<int> Sizes = Gen.Frequency((1, Gen.Int[1, 12]), (4, Gen.Int[1, 400]));

    private static readonly Gen<Case> Cases =
        Gen.Select(Gen.Select(Sizes, Sizes, Sizes, Sizes), Gen.Enum<ImageResampling>(), Gen.Enum<SiglipImageBackend>(), Gen.Int[0, 1000]).Select(
            (sides, resampling, backend, pixels) =>
                new Case(sides.Item1, sides.Item2, sides.Item3, sides.Item4, resampling, backend, pixels));

    [TestMethod]
    public void Pixels_differ_from_exact_arithmetic_only_as_far_as_the_rounding_of_the_weights_explains() => ForAll(60, c =>
    {
        RgbImage image = c.Image();
        RgbImage columns = ImageResizer.Resize(image, c.Width, c.SourceHeight, c.Resampling, c.Backend);
        RgbImage both = ImageResizer.Resize(image, c.Width, c.Height, c.Resampling, c.Backend);

        if (c.Width != c.SourceWidth)
        {
            (int First, double[] Weights)[] windows = PlainResizer.Windows(c.SourceWidth, c.Width, c.Resampling);
            AssertExplained(columns, windows, (x, y) => (x, (y * c.SourceWidth * 3, 3)), image, c.Backend);
        }

        // The second pass starts from the rounded result of the first one.
        if (c.Height != c.SourceHeight)
        {
            (int First, double[] Weights)[] windows = PlainResizer.Windows(c.SourceHeight, c.Height, c.Resampling);
            AssertExplained(both, windows, (x, y) => (y, (x * 3, c.Width * 3)), columns, c.Backend);
        }
    });

    /// <summary>What torchvision's resize calls on x86 processors with AVX2.</summary>
    [TestMethod]
    public void The_pixels_of_torchvision_are_those_of_torchs_own_kernel() => ForAll(400, c =>
    {
        RgbImage image = c.Image();
        using IDisposable scope = NewDisposeScope();
        Tensor pixels = tensor(image.Data.ToArray(), [1, c.SourceHeight, c.SourceWidth, 3]).permute(0, 3, 1, 2); // [batch, channels, height, width]
        InterpolationMode mode = c.Resampling == ImageResampling.Bicubic ? InterpolationMode.Bicubic : InterpolationMode.Bilinear;
        Tensor expected = nn.functional.interpolate(pixels, [c.Height, c.Width], mode: mode, align_corners: false, antialias: true).permute(0, 2, 3, 1);

        RgbImage resized = ImageResizer.Resize(image, c.Width, c.Height, c.Resampling, SiglipImageBackend.Torchvision);

        Assert.AreEqual(0, ReferenceImages.LargestDifference(resized.Data, expected.contiguous().data<byte>().ToArray()));
    });

    [TestMethod]
    public void Every_kind_of_code_gives_the_bits_of_the_scalar_code() => ForAll(150, c =>
    {
        RgbImage image = c.Image();
        RgbImage expected = ImageResizer.Resize(image, c.Width, c.Height, c.Resampling, c.Backend, ResizerCode.Scalar);

        foreach (ResizerCode code in ResizerCodes.Supported)
        {
            RgbImage actual = ImageResizer.Resize(image, c.Width, c.Height, c.Resampling, c.Backend, code);
            Assert.IsTrue(expected.Data.SequenceEqual(actual.Data), code.ToString());
        }
    });

    [TestMethod]
    public void An_axis_that_keeps_its_size_gives_the_same_bits_with_every_kind_of_code() => ForAll(60, c =>
    {
        RgbImage image = c.Image();
        foreach ((int width, int height) in new[] { (c.SourceWidth, c.Height), (c.Width, c.SourceHeight) })
        {
            RgbImage expected = ImageResizer.Resize(image, width, height, c.Resampling, c.Backend, ResizerCode.Scalar);
            foreach (ResizerCode code in ResizerCodes.Supported)
            {
                RgbImage actual = ImageResizer.Resize(image, width, height, c.Resampling, c.Backend, code);
                Assert.IsTrue(expected.Data.SequenceEqual(actual.Data), $"{code} to {width} x {height}");
            }
        }
    });

    [TestMethod]
    public void The_same_size_gives_the_image_itself() => ForAll(20, c =>
    {
        RgbImage image = c.Image();

        Assert.AreSame(image, ImageResizer.Resize(image, c.SourceWidth, c.SourceHeight, c.Resampling, c.Backend));
    });

    [TestMethod]
    public void An_image_of_one_colour_stays_one_of_that_colour() => ForAll(60, c =>
    {
        byte[] colour = c.Image().Data[..3].ToArray();
        byte[] pixels = [.. Enumerable.Repeat(colour, c.SourceWidth * c.SourceHeight).SelectMany(channel => channel)];

        RgbImage resized = ImageResizer.Resize(new RgbImage(c.SourceWidth, c.SourceHeight, pixels), c.Width, c.Height, c.Resampling, c.Backend);

        for (int i = 0; i < resized.Data.Length; i++)
            Assert.AreEqual(colour[i % 3], resized.Data[i], $"value {i}");
    });

    // Pillow rounds a weight to a multiple of 2^-22, torch to the smallest power of two from there on with which the largest weight still fits into 16 bits
    // with sign. So it is off by half of that at most, and a sum by that times the sum of its pixels. Before rounding, the result therefore lies that near to the exact one; 1e-9 stands for the error of double precision.
    private static void AssertExplained(
        RgbImage actual,
        (int First, double[] Weights)[] windows,
        Func<int, int, (int Window, (int Start, int Step) Line)> place,
        RgbImage source,
        SiglipImageBackend backend)
    {
        double unit = Math.Pow(2, -22), largest = windows.Max(window => window.Weights.Max());
        while (backend == SiglipImageBackend.Torchvision && Math.Round(largest / unit) > short.MaxValue)
            unit *= 2;
        for (int y = 0; y < actual.Height; y++)
        {
            for (int x = 0; x < actual.Width; x++)
            {
                (int window, (int start, int step)) = place(x, y);
                (int first, double[] weights) = windows[window];
                for (int channel = 0; channel < 3; channel++)
                {
                    double exact = 0, levels = 0;
                    for (int k = 0; k < weights.Length; k++)
                    {
                        byte level = source.Data[start + ((first + k) * step) + channel];
                        exact += weights[k] * level;
                        levels += level;
                    }

                    double error = (levels * unit / 2) + 1e-9;
                    byte result = actual.Data[(((y * actual.Width) + x) * 3) + channel];
                    if (result < ToGreyLevel(exact - error) || result > ToGreyLevel(exact + error))
                        Assert.Fail($"Pixel {x}, {y}, channel {channel} is {result}, expected {exact:R} within {error:R}, rounded.");
                }
            }
        }
    }

    private static double ToGreyLevel(double value) => Math.Clamp(Math.Floor(value + 0.5), 0, 255);

    // The library takes a seed for the first case of a run only, so each case is a run of its own.
    private static void ForAll(int count, Action<Case> promise)
    {
        for (uint stream = 0; stream < count; stream++)
            Cases.Sample(promise, seed: new PCG(stream, 2026).ToString(), iter: 1, threads: 1);
    }

    /// <summary>An image and what to make of it.</summary>
    /// <param name="Pixels">Seed of the pixels; for even ones they are black and white only, so that bicubic results overshoot.</param>
    private sealed record Case(int SourceWidth, int SourceHeight, int Width, int Height, ImageResampling Resampling, SiglipImageBackend Backend, int Pixels)
    {
        public RgbImage Image()
        {
            RgbImage noise = ReferenceImages.Noise(SourceWidth, SourceHeight, Pixels);
            return Pixels % 2 == 1
                ? noise
                : new RgbImage(SourceWidth, SourceHeight, [.. noise.Data.ToArray().Select(level => level < 128 ? (byte)0 : (byte)255)]);
        }
    }
}
