namespace Siglip.Core.Tests;

[TestClass]
public sealed class LearningRateScheduleTests
{
    private static readonly SiglipTrainingOptions Options = new() { Epochs = 4, LearningRate = 1e-3, MinLearningRate = 1e-4 };

    [TestMethod]
    public void Steps_epochs_and_share_say_the_same_warm_up()
    {
        var share = new LearningRateSchedule(Options with { WarmUpShare = 0.25 }, stepsPerEpoch: 10);
        var steps = new LearningRateSchedule(Options with { WarmUpSteps = 10 }, stepsPerEpoch: 10);
        var epochs = new LearningRateSchedule(Options with { WarmUpEpochs = 1 }, stepsPerEpoch: 10);

        for (int step = 0; step < 40; step++)
        {
            Assert.AreEqual(share.At(step), steps.At(step));
            Assert.AreEqual(share.At(step), epochs.At(step));
        }

        Assert.AreEqual(1e-4, share.At(0), 1e-12);
        Assert.AreEqual(1e-3, share.At(9), 1e-12);
        Assert.AreEqual(1e-3, share.At(10), 1e-12);
        Assert.AreEqual(5.5e-4, share.At(25), 1e-12); // half of the cosine
        Assert.AreEqual(1e-4, share.At(40), 1e-12); // where it ends
    }

    [TestMethod]
    public void Without_warm_up_the_first_step_has_the_highest_rate()
    {
        Assert.AreEqual(1e-3, new LearningRateSchedule(Options with { WarmUpShare = 0 }, 10).At(0));
        Assert.AreEqual(1e-3, new LearningRateSchedule(Options with { WarmUpSteps = 0 }, 10).At(0));
    }

    [TestMethod]
    public void A_warm_up_as_long_as_the_training_is_refused()
    {
        var error = Assert.ThrowsExactly<ArgumentException>(() => new LearningRateSchedule(Options with { WarmUpSteps = 40 }, 10));

        Assert.AreEqual("The warm-up has 40 steps, the whole training 40; choose a shorter warm-up or more epochs.", error.Message);
    }
}
