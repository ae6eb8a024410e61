using System.Text.RegularExpressions;
using Microsoft.ML;
using Microsoft.ML.Runtime;
using Siglip.Core;

namespace Siglip.MLNet.Tests;

[TestClass]
public sealed class TrainingLogTests
{
    private readonly MLContext _mlContext = new(seed: 1);
    private readonly List<LoggingEventArgs> _entries = [];

    public TrainingLogTests() => _mlContext.Log += (_, entry) =>
    {
        if (entry.Source.Contains("Siglip", StringComparison.Ordinal))
            _entries.Add(entry);
    };

    [TestMethod]
    public void A_training_says_what_it_does_and_how_each_epoch_went()
    {
        using var model = Colours.Trainer(_mlContext, Colours.Options with
        {
            Training = Colours.Options.Training with { Epochs = 2 },
            ValidationSetFraction = 0.25,
        }).Fit(Colours.Keyed(_mlContext));

        string[] expected =
        [
            $@"Training '{TestModel.Checkpoint}', 0\.0 million parameters, with 18 images of 2 classes, 6 more to measure with, on cpu\.",
            @"Epoch 1 of 2: loss \d\.\d{3}, accuracy [01]\.\d{3}, learning rate 0\.\d+, [\d,]+\.\d images/s, about \d+ s left; validation: loss \d\.\d{3}, accuracy [01]\.\d{3}\.",
            @"Epoch 2 of 2: loss \d\.\d{3}, accuracy [01]\.\d{3}, learning rate \d\.?\S+, [\d,]+\.\d images/s; validation: loss \d\.\d{3}, accuracy [01]\.\d{3}\.",
            @"Trained 6 steps in \d\.\d\d s\.",
            @"Model 'the trained model': 0\.0 million parameters in Float32, on cpu, loaded in \d\.\d\d s\.",
        ];
        string[] messages = [.. _entries.Where(entry => entry.Kind == ChannelMessageKind.Info).Select(entry => entry.RawMessage)];
        Assert.HasCount(expected.Length, messages, string.Join('\n', messages));
        foreach ((string pattern, string message) in expected.Zip(messages))
            Assert.MatchesRegex($"^{pattern}$", message);
        Assert.IsFalse(_entries.Any(entry => entry.Kind == ChannelMessageKind.Warning));
    }

    [TestMethod]
    public void The_epoch_whose_weights_are_kept_is_named()
    {
        using var model = Colours.Trainer(_mlContext, Colours.Options with
        {
            Training = Colours.Options.Training with { Epochs = 9, LearningRate = 1e-9, LabelSmoothing = 0.999, EarlyStoppingPatience = 2 }, // the loss stays
            ValidationSetFraction = 0.25,
        }).Fit(Colours.Keyed(_mlContext));

        Assert.IsTrue(_entries.Any(entry => Regex.IsMatch(entry.RawMessage,
            @"^Trained \d+ steps in \d+\.\d\d s; the model has the weights of epoch [1-9], which had the lowest validation loss\.$")));
    }

    [TestMethod]
    public void A_training_that_was_complete_is_resumed_to_the_same_model_and_says_so()
    {
        IDataView data = Colours.Keyed(_mlContext);
        SiglipImageClassificationOptions options = Colours.OneStep with
        {
            Training = Colours.OneStep.Training with { StatePath = TestModel.NewPath("complete.safetensors"), Resume = true },
        };
        using var first = Colours.Trainer(_mlContext, options).Fit(data);
        using var second = Colours.Trainer(_mlContext, options).Fit(data);

        Assert.AreEqual(1, _entries.Count(entry => entry.RawMessage.StartsWith("Trained 1 steps in ", StringComparison.Ordinal)));
        Assert.AreEqual(1, _entries.Count(entry => entry.RawMessage.StartsWith("Nothing was left to train: Training.Resume is set", StringComparison.Ordinal)));
        TestModel.AreSame(TestModel.Vectors(first.Transform(data), "Score"), TestModel.Vectors(second.Transform(data), "Score"));
    }

    [TestMethod]
    public void Rows_without_a_label_and_bad_images_are_counted()
    {
        IDataView data = Colours.Load(_mlContext, [.. Colours.Rows, new() { Path = Colours.Rows[0].Path, Class = "other" }, new() { Path = "none.png", Class = "red" }]);
        IDataView keys = _mlContext.Data.LoadFromEnumerable([new { Key = "red" }, new { Key = "blue" }]);
        IDataView keyed = _mlContext.Transforms.Conversion.MapValueToKey("Label", "Class", keyData: keys).Fit(data).Transform(data);
        using var model = Colours.Trainer(_mlContext, Colours.OneStep with { Training = Colours.OneStep.Training with { SkipBadImages = true } }).Fit(keyed);

        string[] warnings = [.. _entries.Where(entry => entry.Kind == ChannelMessageKind.Warning).Select(entry => entry.RawMessage)];
        CollectionAssert.AreEqual((string[])["1 of 26 rows of the training data have no label in column 'Label', and are left out.",
            "1 images could not be read, and were left out of the training."], warnings);
    }
}
