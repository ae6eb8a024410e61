namespace Siglip.Core.Tests;

[TestClass]
public sealed class SiglipAugmentationOptionsTests
{
    [TestMethod]
    public void Values_out_of_range_are_refused_by_name()
    {
        new SiglipAugmentationOptions().Validate();
        SiglipAugmentationOptions.None.Validate();

        (string Name, SiglipAugmentationOptions Options)[] wrong =
        [
            ("FlipProbability", new() { FlipProbability = 1.1 }),
            ("FlipProbability", new() { FlipProbability = double.NaN }),
            ("MaxShift", new() { MaxShift = 1 }),
            ("MaxShift", new() { MaxShift = double.NaN }),
            ("MaxCropArea", new() { MaxCropArea = 1.5 }),
            ("MinCropArea", new() { MinCropArea = 0 }),
            ("MinCropArea", new() { MinCropArea = 0.9, MaxCropArea = 0.8 }),
            ("MinCropAspectRatio", new() { MinCropAspectRatio = 2 }),
            ("MaxCropAspectRatio", new() { MaxCropAspectRatio = double.PositiveInfinity }),
            ("ColourOperations", new() { ColourOperations = -1 }),
            ("ColourMagnitude", new() { ColourMagnitude = 31 }),
            ("MixupAlpha", new() { MixupAlpha = double.NaN }),
            ("CutMixAlpha", new() { CutMixAlpha = -0.1 }),
            ("MixProbability", new() { MixProbability = 2 }),
        ];
        foreach ((string name, SiglipAugmentationOptions options) in wrong)
            Assert.AreEqual(name, Assert.ThrowsExactly<ArgumentOutOfRangeException>(options.Validate).ParamName);
    }

    [TestMethod]
    public void The_defaults_flip_and_shift_as_the_trainer_did_before()
    {
        var options = new SiglipAugmentationOptions();
        var random = new Random(4);
        ImageShift[] shifts = [.. Enumerable.Range(0, 1000).Select(_ => ImageShift.Draw(random, 32, 48, options))];

        Assert.AreEqual((-4, 4, -4, 4), (shifts.Min(shift => shift.Right), shifts.Max(shift => shift.Right), shifts.Min(shift => shift.Down), shifts.Max(shift => shift.Down)));
        Assert.AreEqual(500, shifts.Count(shift => shift.Flip), 60);
        Assert.AreEqual((false, 0, 0.0, 0.0), (options.RandomResizedCrop, options.ColourOperations, options.MixupAlpha, options.CutMixAlpha));
        Assert.AreEqual(default, ImageShift.Draw(random, 32, 48, SiglipAugmentationOptions.None));
    }
}
