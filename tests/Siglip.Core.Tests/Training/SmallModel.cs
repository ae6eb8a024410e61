using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>A model of three layers, the same each time, and images for it.</summary>
internal static class SmallModel
{
    public static SiglipVisionConfig Config { get; } = ColouredImages.Config with { NumHiddenLayers = 3 };

    public static SiglipForImageClassification New(int seed = 1)
    {
        TorchNative.Ensure();
        manual_seed(seed);
        return new SiglipForImageClassification(Config, ["blue", "red"]);
    }

    /// <summary>Four images.</summary>
    public static TrainingBatch Batch() => new(linspace(-1, 1, 4 * 3 * 64).sin().reshape(4, 3, 8, 8), eye(2).repeat(2, 1));

    public static Dictionary<string, Tensor> Copy(SiglipForImageClassification model) =>
        model.state_dict().ToDictionary(pair => pair.Key, pair => pair.Value.detach().clone());

    /// <summary>The names of parameters that are not as they were.</summary>
    public static string[] Changed(SiglipForImageClassification model, Dictionary<string, Tensor> before) =>
        [.. model.state_dict().Where(pair => ReferenceModels.LargestDifference(pair.Value, before[pair.Key]) > 0).Select(pair => pair.Key)];
}
