using System.Security.Cryptography;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>The state of a training that does not train all weights.</summary>
[TestClass]
public sealed class TransferStateTests
{
    private static readonly SiglipTrainingOptions Options = new()
    {
        Epochs = 2,
        BatchSize = 2,
        GradientAccumulation = 2,
        LearningRate = 1e-2,
        EmaDecay = 0.9,
        LayerLearningRateDecay = 0.8,
        Seed = 11,
    };

    private static IEnumerable<(string Name, SiglipTrainingOptions Options)> Kinds =>
    [
        ("classifier", Options with { TrainedLayers = 0 }),
        ("last layer", Options with { TrainedLayers = 1, Optimizer = SiglipOptimizer.Sgd, Momentum = 0.9 }),
        ("additions", Options with { Lora = new SiglipLoraOptions { Rank = 2, Dropout = 0.2 } }),
        ("additions until they get no better", Options with { EarlyStoppingPatience = 1, Lora = new SiglipLoraOptions { Rank = 2 } }),
        ("additions in the last layers", Options with { TrainedLayers = 2, EmaDecay = 0, Lora = new SiglipLoraOptions { Targets = SiglipLoraTargets.Mlp } }),
    ];

    [TestMethod]
    public void A_training_killed_at_any_step_and_resumed_ends_with_the_same_weights_to_the_bit()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("images"), imagesPerClass: 5); // 3 steps an epoch
        foreach ((string name, SiglipTrainingOptions kind) in Kinds)
        {
            string expected = Train(kind, dataset, folder);
            SiglipTrainingOptions options = kind with { StatePath = folder.File("state.safetensors"), StateInterval = 2 };
            foreach (int killed in (int[])[2, 3, 4, 6])
            {
                File.Delete(options.StatePath!);
                Assert.ThrowsExactly<TimeZoneNotFoundException>(() => Train(options, dataset, folder, state =>
                {
                    if (state.Step == killed)
                        throw new TimeZoneNotFoundException(); // ends the training like a power failure: nothing is saved on the way out
                }));
                Assert.AreEqual(expected, Train(options with { Resume = true }, dataset, folder), $"{name}, killed in step {killed}");
            }

            Assert.AreEqual(expected, Train(options with { Resume = true }, dataset, folder, _ => Assert.Fail("a step was done")), $"{name}, finished");
        }
    }

    [TestMethod]
    public void A_state_holds_what_is_trained_and_is_refused_if_the_other_weights_are_not_those_that_were_there()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("images"), imagesPerClass: 2);
        foreach ((string name, SiglipTrainingOptions kind) in Kinds)
        {
            SiglipTrainingOptions options = kind with { StatePath = folder.File($"{name}.safetensors"), Resume = true };
            Train(options, dataset, folder);
            using (SafetensorsFile file = SafetensorsFile.Open(options.StatePath!))
            {
                Assert.IsTrue(file.Tensors.ContainsKey("model.classifier.weight"));
                Assert.IsFalse(file.Tensors.ContainsKey("model.vision_model.embeddings.position_embedding.weight"), name);
            }

            using SiglipForImageClassification other = SmallModel.New();
            using (no_grad())
                other.state_dict()["vision_model.embeddings.position_embedding.weight"][0, 0] = 0.25f;
            Dictionary<string, Tensor> before = SmallModel.Copy(other);
            using var trainer = new SiglipTrainer(other, ColouredImages.Processor, options);
            Assert.Contains("hash of the weights that are not trained was ", Assert.ThrowsExactly<ArgumentException>(() => trainer.Train(dataset, dataset)).Message, name);
            Assert.IsEmpty(SmallModel.Changed(other, before));
            Assert.IsTrue(other.parameters().All(parameter => parameter.requires_grad));
            foreach (Tensor value in before.Values)
                value.Dispose();
        }
    }

    [TestMethod]
    public void Other_options_are_refused_by_name()
    {
        using var folder = new TemporaryFolder();
        ImageFolderDataset dataset = ColouredImages.Write(folder.File("images"), imagesPerClass: 2);
        SiglipTrainingOptions options = Options with { TrainedLayers = 2, Lora = new(), StatePath = folder.File("state.safetensors") };
        Train(options, dataset, folder);

        Refused("TrainedLayers was 2; now it is 1", options with { TrainedLayers = 1 });
        Refused("LayerLearningRateDecay was 0.8; now it is 0.9", options with { LayerLearningRateDecay = 0.9 });
        Refused("Rank was 8; now it is 4", options with { Lora = new() { Rank = 4 } });
        Refused("Targets was \"All\"; now it is \"Query\"", options with { Lora = new() { Targets = SiglipLoraTargets.Query } });
        Refused("Lora was ", options with { Lora = null });

        void Refused(string message, SiglipTrainingOptions other)
        {
            using SiglipForImageClassification model = SmallModel.New();
            using var trainer = new SiglipTrainer(model, ColouredImages.Processor, other with { Resume = true });
            Assert.Contains(message, Assert.ThrowsExactly<ArgumentException>(() => trainer.Train(dataset)).Message);
        }
    }

    // SHA-256 of the weights that a training ends with.
    private static string Train(SiglipTrainingOptions options, ImageFolderDataset dataset, TemporaryFolder folder, Action<SiglipTrainingProgress>? report = null)
    {
        using SiglipForImageClassification model = SmallModel.New();
        using var trainer = new SiglipTrainer(model, ColouredImages.Processor, options);
        trainer.Train(dataset, dataset, new Report(report ?? (_ => { })));
        model.SavePretrained(folder.File("model"));
        return Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(folder.File("model/model.safetensors"))));
    }

    private sealed class Report(Action<SiglipTrainingProgress> action) : IProgress<SiglipTrainingProgress>
    {
        void IProgress<SiglipTrainingProgress>.Report(SiglipTrainingProgress value) => action(value);
    }
}
