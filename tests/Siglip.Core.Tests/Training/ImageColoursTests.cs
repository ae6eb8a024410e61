using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class ImageColoursTests
{
    private static readonly JsonElement Expected =
        JsonDocument.Parse(File.ReadAllText(ReferenceData.PathOf("augmentation", "expected_sha256.json"))).RootElement;

    public static IEnumerable<object[]> Images => Expected.EnumerateObject().Select(image => new object[] { image.Name });

    [TestMethod]
    [DynamicData(nameof(Images))]
    public void All_changes_of_colours_have_Pillows_pixels(string name)
    {
        RgbImage image = RgbImage.Load(ReferenceImages.PathOf(name));
        var pale = new RgbImage(image.Width, image.Height, [.. image.Data.ToArray().Select(level => (byte)(60 + (level / 3)))]);

        string[] wrong = [.. Expected.GetProperty(name).EnumerateObject()
            .Where(result => Sha256(Operation(result.Name).Apply(result.Name.StartsWith("pale", StringComparison.Ordinal) ? pale : image)) != result.Value.GetString())
            .Select(result => result.Name)];

        Assert.HasCount(54, Expected.GetProperty(name).EnumerateObject().ToArray());
        Assert.IsEmpty(wrong, string.Join(", ", wrong));
    }

    [TestMethod]
    public void Operations_of_magnitude_0_change_nothing_but_contrast_and_histogram()
    {
        RgbImage image = RgbImage.Load(ReferenceImages.PathOf("exact_224.png"));
        var random = new Random(1);
        for (int i = 0; i < 100; i++)
        {
            var operation = ColourOperation.Draw(random, magnitude: 0);
            if (operation.Kind is ColourOperationKind.AutoContrast or ColourOperationKind.Equalize or ColourOperationKind.Solarize)
                continue; // solarize at 255 inverts white, as torchvision's does
            CollectionAssert.AreEqual(image.Data.ToArray(), operation.Apply(image).Data.ToArray(), $"{operation}");
        }
    }

    [TestMethod]
    public void Drawn_operations_have_the_strengths_of_torchvisions_RandAugment()
    {
        // Magnitude 9 of 31 steps: linspace(0, 0.9, 31)[9] = 0.27; 8 - round(9 / 7.5) = 7 bits; linspace(255, 0, 31)[9] = 178.5.
        var random = new Random(2);
        ColourOperation[] drawn = [.. Enumerable.Range(0, 2000).Select(_ => ColourOperation.Draw(random, magnitude: 9))];

        foreach (var kind in drawn.GroupBy(operation => operation.Kind))
        {
            Assert.AreEqual(2000.0 / 9, kind.Count(), 60, $"{kind.Key}");
            double[] strengths = [.. kind.Select(operation => Math.Round(operation.Strength, 9)).Distinct().Order()];
            CollectionAssert.AreEqual(
                kind.Key switch { ColourOperationKind.Posterize => [7.0], ColourOperationKind.Solarize => [178.5], _ => (double[])[0.73, 1.27] }, strengths, $"{kind.Key}");
        }

        Assert.AreEqual(9, drawn.Select(operation => operation.Kind).Distinct().Count());
    }

    private static ColourOperation Operation(string name)
    {
        string[] words = name.Split(' ');
        return new ColourOperation(Enum.Parse<ColourOperationKind>(words[^2]), double.Parse(words[^1], CultureInfo.InvariantCulture));
    }

    private static string Sha256(RgbImage image) => Convert.ToHexStringLower(SHA256.HashData(image.Data));
}
