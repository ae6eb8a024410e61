using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Text.RegularExpressions;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary>The options that say how a model is trained: <see cref="SiglipTrainingOptions"/> on the command line.</summary>
/// <remarks>An option has the name of its property, in small letters with hyphens; <see cref="OtherNames"/> has the exceptions.</remarks>
internal sealed partial class TrainingArguments
{
    private static readonly SiglipTrainingOptions Defaults = new();
    private static readonly SiglipAugmentationOptions DefaultAugmentation = new();
    private static readonly SiglipLoraOptions DefaultLora = new();

    private static readonly Dictionary<string, string> OtherNames = new()
    {
        [nameof(SiglipAugmentationOptions.MixupAlpha)] = "--mixup",
        [nameof(SiglipAugmentationOptions.CutMixAlpha)] = "--cutmix",
        [nameof(SiglipTrainingOptions.LayerLearningRateDecay)] = "--layer-decay",
        [nameof(SiglipTrainingOptions.EarlyStoppingPatience)] = "--early-stopping",
        [nameof(SiglipLoraOptions.Rank)] = "--lora",
        [nameof(SiglipLoraOptions.Alpha)] = "--lora-alpha",
        [nameof(SiglipLoraOptions.Dropout)] = "--lora-dropout",
        [nameof(SiglipLoraOptions.Targets)] = "--lora-targets",
    };

    private static readonly Dictionary<string, SiglipLoraTargets> LoraTargetNames = new()
    {
        ["q_proj"] = SiglipLoraTargets.Query,
        ["k_proj"] = SiglipLoraTargets.Key,
        ["v_proj"] = SiglipLoraTargets.Value,
        ["out_proj"] = SiglipLoraTargets.Output,
        ["attention"] = SiglipLoraTargets.Attention,
        ["mlp"] = SiglipLoraTargets.Mlp,
        ["all"] = SiglipLoraTargets.All,
    };

    private readonly Option<int> _epochs = Count("--epochs", "Passes over the training images.", Defaults.Epochs);
    private readonly Option<int> _batchSize = Count("--batch-size", "Images in one forward pass.", Defaults.BatchSize);
    private readonly Option<int> _gradientAccumulation = Count("--gradient-accumulation", "Batches whose gradients make one step: as one batch of that many times the images, without its memory.", Defaults.GradientAccumulation);
    private readonly Option<int?> _earlyStopping = OptionalCount("--early-stopping", "Stop after this many epochs without a lower validation loss; the model is that of the epoch with the lowest.", least: 1);
    private readonly Option<string?> _precision = new Option<string?>("--precision") { Description = "In what the passes compute: float32 (the default) or bfloat16. Weights stay float32.", HelpName = "float32|bfloat16" }
        .Expect(text => CommonOptions.PrecisionOf(text) is SiglipPrecision.Float32 or SiglipPrecision.BFloat16, "float32 or bfloat16");
    private readonly Option<string> _device = CommonOptions.Device();
    private readonly Option<int> _seed = new Option<int>("--seed") { HelpName = "N", Description = "Decides the first weights, the order of the images, their changes, and which are held out.", DefaultValueFactory = _ => Defaults.Seed }
        .Within(int.MinValue);

    private readonly Option<string?> _optimizer = new Option<string?>("--optimizer") { Description = "adamw (the default) or sgd." }.OneOf("adamw", "sgd");
    private readonly Option<double> _learningRate = Number("--learning-rate", "The highest learning rate.", Defaults.LearningRate, value => value > 0 && double.IsFinite(value), "a number above 0");
    private readonly Option<double> _minLearningRate = Number("--min-learning-rate", "Where the cosine of the learning rate ends.", Defaults.MinLearningRate, IsFiniteAndNotNegative, "a number of at least 0");
    private readonly Option<double> _warmUpShare = Share("--warm-up-share", "Share of all steps in which the learning rate rises from 0.", Defaults.WarmUpShare);
    private readonly Option<int?> _warmUpSteps = OptionalCount("--warm-up-steps", "Steps of the warm-up, in place of the share.", least: 0);
    private readonly Option<double?> _warmUpEpochs = new Option<double?>("--warm-up-epochs") { HelpName = "X", Description = "Epochs of the warm-up, whole or not, in place of the share." }
        .Accept(IsFiniteAndNotNegative, "a number of at least 0");
    private readonly Option<double> _weightDecay = Number("--weight-decay", "Weight decay.", Defaults.WeightDecay, IsFiniteAndNotNegative, "a number of at least 0");
    private readonly Option<bool> _decayAllParameters = new("--decay-all-parameters") { Description = "Decay biases, norms and position embeddings, too." };
    private readonly Option<double> _beta1 = Share("--beta1", "AdamW's decay of the mean of the gradients.", Defaults.Beta1);
    private readonly Option<double> _beta2 = Share("--beta2", "AdamW's decay of the mean of their squares.", Defaults.Beta2);
    private readonly Option<double> _epsilon = Number("--epsilon", "What AdamW adds to the root of that mean.", Defaults.Epsilon, value => value > 0 && double.IsFinite(value), "a number above 0");
    private readonly Option<double> _momentum = Share("--momentum", "SGD's momentum.", Defaults.Momentum);
    private readonly Option<double> _maxGradientNorm = Number("--max-gradient-norm", "The norm of all gradients is cut to this; Infinity for no limit.", Defaults.MaxGradientNorm, value => value > 0, "a number above 0");
    private readonly Option<double> _emaDecay = Share("--ema-decay", "Decay of a moving average of the weights, which is measured and saved, such as 0.999; 0 for none.", Defaults.EmaDecay);
    private readonly Option<double> _labelSmoothing = Share("--label-smoothing", "Share of the target that is spread over all classes.", Defaults.LabelSmoothing);
    private readonly Option<string?> _classifierInput = new Option<string?>("--classifier-input")
    {
        Description = "What the loss is of: mean-and-pooled (the default), which trains the pooling head, too, or mean, as in transformers.",
    }.OneOf("mean-and-pooled", "mean");

    private readonly Option<int?> _trainedLayers = OptionalCount("--trained-layers", "Train the last N encoder layers and what follows them; 0: the classifier only, each image is embedded once.", least: 0);
    private readonly Option<double> _layerDecay = Number("--layer-decay", "Factor of the learning rate from each layer to the one before it, such as 0.75.", Defaults.LayerLearningRateDecay, value => value is > 0 and <= 1, "a number above 0, at most 1");
    private readonly Option<int?> _lora = OptionalCount("--lora", "Train additions of this rank to the weight matrices (LoRA) and the classifier; they are merged into the weights at the end.", least: 1, "RANK");
    private readonly Option<double?> _loraAlpha = new Option<double?>("--lora-alpha") { HelpName = "X", Description = $"An addition counts with this, divided by the rank. [default: {DefaultLora.Alpha}]" }
        .Accept(value => value > 0 && double.IsFinite(value), "a number above 0");
    private readonly Option<double?> _loraDropout = new Option<double?>("--lora-dropout") { HelpName = "X", Description = $"Share of an addition's inputs that is dropped. [default: {DefaultLora.Dropout}]" }
        .Accept(value => value is >= 0 and < 1, "a number of at least 0 and below 1");
    private readonly Option<string?> _loraTargets = new Option<string?>("--lora-targets")
    {
        Description = $"The matrices that get an addition, with commas between them: {string.Join(", ", LoraTargetNames.Keys)}. [default: all]",
        HelpName = "NAMES",
    }.Expect(text => text.Split(',').All(LoraTargetNames.ContainsKey), $"one or several of {string.Join(", ", LoraTargetNames.Keys)}, with commas between them");

    private readonly Option<bool> _noAugment = new("--no-augment") { Description = "Leave the training images as they are." };
    private readonly Option<double> _flipProbability = Probability("--flip-probability", "How likely an image is flipped left to right.", DefaultAugmentation.FlipProbability);
    private readonly Option<double> _maxShift = Share("--max-shift", "The largest shift, as a share of the shorter side.", DefaultAugmentation.MaxShift);
    private readonly Option<bool> _randomResizedCrop = new("--random-resized-crop") { Description = "Take a random part of each image, as torchvision's RandomResizedCrop." };
    private readonly Option<double> _minCropArea = Area("--min-crop-area", "The smallest part, as a share of the area.", DefaultAugmentation.MinCropArea);
    private readonly Option<double> _maxCropArea = Area("--max-crop-area", "The largest part.", DefaultAugmentation.MaxCropArea);
    private readonly Option<int> _colourOperations = Count("--colour-operations", "Random changes of an image's colours, as in RandAugment, such as 2.", DefaultAugmentation.ColourOperations, least: 0, most: 10);
    private readonly Option<int> _colourMagnitude = Count("--colour-magnitude", "Their strength, as in torchvision's RandAugment.", DefaultAugmentation.ColourMagnitude, least: 0, most: 30);
    private readonly Option<double> _mixup = Alpha("--mixup", "Alpha of mixup: images are blended with others of the batch, such as 0.2; 0 for none.", DefaultAugmentation.MixupAlpha);
    private readonly Option<double> _cutMix = Alpha("--cutmix", "Alpha of CutMix: a part of each image comes from another, such as 1; 0 for none.", DefaultAugmentation.CutMixAlpha);
    private readonly Option<double> _mixProbability = Probability("--mix-probability", "How likely a batch is mixed.", DefaultAugmentation.MixProbability);
    private readonly Option<double> _patchDropout = Share("--patch-dropout", "Share of each image's patches that a step leaves out, which makes training from scratch faster, such as 0.5.", Defaults.PatchDropout);
    private readonly Option<int?> _patchDropoutEpochs = OptionalCount("--patch-dropout-epochs", "Number of epochs, the first ones, that leave out patches; by default all.", least: 0);

    public TrainingArguments()
    {
        Augmentations = [_flipProbability, _maxShift, _randomResizedCrop, _minCropArea, _maxCropArea, _colourOperations, _colourMagnitude, _mixup, _cutMix, _mixProbability];
        Groups =
        [
            new("How long, and where", [_epochs, _batchSize, _gradientAccumulation, _earlyStopping, _precision, _device, _seed]),
            new("Optimizer and loss",
            [
                _optimizer, _learningRate, _minLearningRate, _warmUpShare, _warmUpSteps, _warmUpEpochs, _weightDecay, _decayAllParameters, _beta1, _beta2, _epsilon, _momentum,
                _maxGradientNorm, _emaDecay, _labelSmoothing, _classifierInput,
            ]),
            new("What is trained", [_trainedLayers, _layerDecay, _lora, _loraAlpha, _loraDropout, _loraTargets]),
            new("How training images are changed", [_noAugment, .. Augmentations, _patchDropout, _patchDropoutEpochs]),
        ];
    }

    /// <summary>All of the options.</summary>
    public IReadOnlyList<OptionGroup> Groups { get; }

    private IReadOnlyList<Option> Augmentations { get; }

    /// <summary>Checks that no option is given whose purpose another one is missing for.</summary>
    public void Validate(CommandResult result)
    {
        if (result.GetValue(_noAugment) && Augmentations.FirstOrDefault(option => result.GetResult(option) is { Implicit: false }) is { } augmentation)
            result.AddError($"--no-augment and {augmentation.Name} are given; leave one of them out.");
        if (result.GetResult(_lora) is null && ((Option[])[_loraAlpha, _loraDropout, _loraTargets]).FirstOrDefault(option => result.GetResult(option) is not null) is { } lora)
            result.AddError($"{lora.Name} is given without --lora; add --lora with the rank, or leave it out.");
    }

    /// <summary>What is wrong with options together that are right by themselves; null if nothing is.</summary>
    /// <remarks>Not in <see cref="Validate"/>, where options have no defaults yet.</remarks>
    public string? FaultOf(SiglipTrainingOptions options)
    {
        try
        {
            options.Validate();
            return null;
        }
        catch (ArgumentOutOfRangeException e) when (e.ParamName is not null)
        {
            return string.Create(CultureInfo.InvariantCulture, $"{NameOf(e.ParamName)} is {e.ActualValue}, expected {InOptionNames(ExpectedIn(e.Message))}");
        }
    }

    /// <summary>What the command line says.</summary>
    public SiglipTrainingOptions Read(CommandResult result) => new()
    {
        Epochs = result.GetValue(_epochs),
        BatchSize = result.GetValue(_batchSize),
        GradientAccumulation = result.GetValue(_gradientAccumulation),
        EarlyStoppingPatience = result.GetValue(_earlyStopping),
        Precision = CommonOptions.PrecisionOf(result.GetValue(_precision)) ?? SiglipPrecision.Float32,
        Device = result.GetRequiredValue(_device),
        Seed = result.GetValue(_seed),
        Optimizer = result.GetValue(_optimizer) == "sgd" ? SiglipOptimizer.Sgd : SiglipOptimizer.AdamW,
        LearningRate = result.GetValue(_learningRate),
        MinLearningRate = result.GetValue(_minLearningRate),
        WarmUpShare = result.GetValue(_warmUpShare),
        WarmUpSteps = result.GetValue(_warmUpSteps),
        WarmUpEpochs = result.GetValue(_warmUpEpochs),
        WeightDecay = result.GetValue(_weightDecay),
        DecayAllParameters = result.GetValue(_decayAllParameters),
        Beta1 = result.GetValue(_beta1),
        Beta2 = result.GetValue(_beta2),
        Epsilon = result.GetValue(_epsilon),
        Momentum = result.GetValue(_momentum),
        MaxGradientNorm = result.GetValue(_maxGradientNorm),
        EmaDecay = result.GetValue(_emaDecay),
        LabelSmoothing = result.GetValue(_labelSmoothing),
        ClassifierInput = result.GetValue(_classifierInput) == "mean" ? SiglipClassifierInput.Mean : SiglipClassifierInput.MeanAndPooled,
        TrainedLayers = result.GetValue(_trainedLayers),
        LayerLearningRateDecay = result.GetValue(_layerDecay),
        Lora = ReadLora(result),
        Augmentation = ReadAugmentation(result),
        PatchDropout = result.GetValue(_patchDropout),
        PatchDropoutEpochs = result.GetValue(_patchDropoutEpochs),
    };

    /// <summary>A message of the library about a training in the words of the command line.</summary>
    public string InOptionNames(string message) => PropertyName()
        .Replace(message.Replace("without Resume", "with --overwrite", StringComparison.Ordinal), match => NameOf(match.Value));

    private SiglipLoraOptions? ReadLora(CommandResult result) => result.GetValue(_lora) is not { } rank ? null : new SiglipLoraOptions
    {
        Rank = rank,
        Alpha = result.GetValue(_loraAlpha) ?? DefaultLora.Alpha,
        Dropout = result.GetValue(_loraDropout) ?? DefaultLora.Dropout,
        Targets = result.GetValue(_loraTargets)?.Split(',').Aggregate(SiglipLoraTargets.None, (targets, name) => targets | LoraTargetNames.GetValueOrDefault(name)) ?? DefaultLora.Targets,
    };

    private SiglipAugmentationOptions ReadAugmentation(CommandResult result) => result.GetValue(_noAugment) ? SiglipAugmentationOptions.None : new SiglipAugmentationOptions
    {
        FlipProbability = result.GetValue(_flipProbability),
        MaxShift = result.GetValue(_maxShift),
        RandomResizedCrop = result.GetValue(_randomResizedCrop),
        MinCropArea = result.GetValue(_minCropArea),
        MaxCropArea = result.GetValue(_maxCropArea),
        ColourOperations = result.GetValue(_colourOperations),
        ColourMagnitude = result.GetValue(_colourMagnitude),
        MixupAlpha = result.GetValue(_mixup),
        CutMixAlpha = result.GetValue(_cutMix),
        MixProbability = result.GetValue(_mixProbability),
    };

    // The option of a property; what is none stays as it is.
    private string NameOf(string property)
    {
        string name = OtherNames.GetValueOrDefault(property) ?? $"--{UpperCase().Replace(property, "-$0").TrimStart('-').ToLowerInvariant()}";
        return Groups.Any(group => group.Options.Any(option => option.Name == name)) ? name : property;
    }

    // "Expected a number. (Parameter 'X')", and a line with the value
    private static string ExpectedIn(string message) => message.Split(" (Parameter '")[0].Replace("Expected ", "", StringComparison.Ordinal);

    private static bool IsFiniteAndNotNegative(double value) => value >= 0 && double.IsFinite(value);

    private static Option<int> Count(string name, string description, int value, int least = 1, int most = int.MaxValue) =>
        new Option<int>(name) { Description = description, HelpName = "N", DefaultValueFactory = _ => value }.Within(least, most);

    private static Option<int?> OptionalCount(string name, string description, int least, string helpName = "N") =>
        new Option<int?>(name) { Description = description, HelpName = helpName }.Within(least);

    private static Option<double> Number(string name, string description, double value, Func<double, bool> isGood, string expected) =>
        new Option<double>(name) { Description = description, HelpName = "X", DefaultValueFactory = _ => value }.Accept(isGood, expected);

    private static Option<double> Share(string name, string description, double value) =>
        Number(name, description, value, number => number is >= 0 and < 1, "a number of at least 0 and below 1");

    private static Option<double> Probability(string name, string description, double value) =>
        Number(name, description, value, number => number is >= 0 and <= 1, "a number from 0 to 1");

    private static Option<double> Area(string name, string description, double value) =>
        Number(name, description, value, number => number is > 0 and <= 1, "a number above 0, at most 1");

    private static Option<double> Alpha(string name, string description, double value) =>
        Number(name, description, value, number => number is >= 0 and <= 100, "a number from 0 to 100");

    // Names of one word are words of other sentences, too.
    [GeneratedRegex(@"\b[A-Z][a-z0-9]+(?:[A-Z][a-z0-9]+)+\b|(?<=whose )[A-Z][a-z0-9]+(?= was )")]
    private static partial Regex PropertyName();

    [GeneratedRegex("[A-Z]")]
    private static partial Regex UpperCase();
}
