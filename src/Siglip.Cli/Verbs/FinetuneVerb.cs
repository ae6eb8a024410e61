using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Siglip.Core;
using TorchSharp;

namespace Siglip.Cli;

/// <summary><c>siglip finetune</c>: trains a classifier with its vision transformer.</summary>
internal static class FinetuneVerb
{
    public static Command Create()
    {
        var defaults = new SiglipTrainingOptions();
        var folder = new Argument<string>("FOLDER") { Description = "The training images, in one folder per class; or a folder that is divided into train and val, with those in them." };
        var config = new Option<string?>("--config") { Description = "A config.json, or the name of a known checkpoint of the Hugging Face hub (siglip info --variants lists them), of which the architecture is taken: a model with random weights is trained from scratch." };
        var model = new Option<string?>("--model") { Description = "A checkpoint's folder, or nano: its vision transformer is trained further, with a new classifier unless it has one for the same classes." };
        var output = new Option<string>("--output") { Description = "The folder that gets config.json, preprocessor_config.json and model.safetensors.", Required = true };
        var overwrite = new Option<bool>("--overwrite") { Description = "Replace a checkpoint that is in the output folder." };
        var validation = new Option<string?>("--validation") { Description = "Images to measure with, in folders of the same classes; by default those of FOLDER/val, if there are any." };
        var share = new Option<double>("--validation-share") { Description = "Without --validation and FOLDER/val: share of each class held out to measure with; 0 for none.", DefaultValueFactory = _ => 0.1 };
        var epochs = new Option<int>("--epochs") { Description = "Passes over the training images.", DefaultValueFactory = _ => defaults.Epochs };
        var batchSize = new Option<int>("--batch-size") { Description = "Images in one step.", DefaultValueFactory = _ => defaults.BatchSize };
        var learningRate = new Option<double>("--learning-rate") { Description = "Highest learning rate of AdamW.", DefaultValueFactory = _ => defaults.LearningRate };
        var weightDecay = new Option<double>("--weight-decay") { Description = "Weight decay of AdamW.", DefaultValueFactory = _ => defaults.WeightDecay };
        var labelSmoothing = new Option<double>("--label-smoothing") { Description = "Share of the target spread over all classes.", DefaultValueFactory = _ => defaults.LabelSmoothing };
        var noAugment = new Option<bool>("--no-augment") { Description = "Neither flip nor shift the training images." };
        var seed = new Option<int>("--seed") { Description = "Decides the first weights, the order and the augmentation.", DefaultValueFactory = _ => defaults.Seed };
        var device = new Option<string>("--device") { Description = "cpu, cuda or cuda:N.", DefaultValueFactory = _ => defaults.Device };
        var dtype = new Option<string>("--dtype") { Description = "How the weights are stored.", DefaultValueFactory = _ => "float32" };
        var mimetic = new Option<bool>("--mimetic") { Description = "Start weights by mimetic initialization." };
        var patchDropout = new Option<double>("--patch-dropout") { Description = "Share of patches left out." };
        var patchDropoutEpochs = new Option<int?>("--patch-dropout-epochs") { Description = "Epochs that leave out patches." };
        var ema = new Option<double>("--ema-decay") { Description = "Decay of the moving average of the weights." };
        var colours = new Option<int>("--colour-operations") { Description = "Random changes of colours." };
        var cutmix = new Option<double>("--cutmix") { Description = "Alpha of CutMix." };
        var state = new Option<string?>("--state") { Description = "State file." };
        dtype.Precision();
        seed.Within(int.MinValue);
        share.Accept(value => value is >= 0 and < 1, "a number of at least 0 and below 1");
        epochs.Within(1);
        batchSize.Within(1);
        learningRate.Accept(value => value > 0 && double.IsFinite(value), "a number above 0");
        weightDecay.Accept(value => value >= 0 && double.IsFinite(value), "a number of at least 0");
        labelSmoothing.Accept(value => value is >= 0 and < 1, "a number of at least 0 and below 1");

        var command = new Command("finetune", "Train a vision transformer and its classifier on folders of images.")
        {
            folder, config, model, output, overwrite, validation, share, epochs, batchSize, learningRate, weightDecay, labelSmoothing, noAugment, seed, device, dtype, mimetic, patchDropout, patchDropoutEpochs, ema, colours, cutmix, state,
        };
        command.Validators.Add(result =>
        {
            if (result.GetValue(config) is null == result.GetValue(model) is null)
                result.AddError(result.GetValue(config) is null
                    ? "One of --config and --model is needed: where the training starts."
                    : "--config and --model are given; name one of them, not both.");
        });
        command.SetAction((parsed, cancellationToken) => Task.FromResult(Run(
            parsed.GetRequiredValue(folder), parsed.GetValue(config), parsed.GetValue(model), parsed.GetRequiredValue(output), parsed.GetValue(overwrite), parsed.GetValue(validation),
            parsed.GetValue(share), CommonOptions.PrecisionOf(parsed.GetRequiredValue(dtype))!.Value.ToDtype(), parsed.GetValue(mimetic),
            new SiglipTrainingOptions
            {
                Epochs = parsed.GetValue(epochs),
                BatchSize = parsed.GetValue(batchSize),
                LearningRate = parsed.GetValue(learningRate),
                WeightDecay = parsed.GetValue(weightDecay),
                LabelSmoothing = parsed.GetValue(labelSmoothing),
                Augmentation = parsed.GetValue(noAugment) ? SiglipAugmentationOptions.None : new SiglipAugmentationOptions { ColourOperations = parsed.GetValue(colours), CutMixAlpha = parsed.GetValue(cutmix) },
                PatchDropout = parsed.GetValue(patchDropout),
                PatchDropoutEpochs = parsed.GetValue(patchDropoutEpochs),
                EmaDecay = parsed.GetValue(ema),
                StatePath = parsed.GetValue(state),
                Resume = parsed.GetValue(state) is not null,
                Seed = parsed.GetValue(seed),
                Device = parsed.GetRequiredValue(device),
            },
            cancellationToken)));
        return command;
    }

    private static int Run(
        string folder, string? configPath, string? modelName, string output, bool overwrite, string? validationFolder, double validationShare, torch.ScalarType storedDtype, bool mimetic,
        SiglipTrainingOptions options, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        if (!overwrite && File.Exists(Path.Combine(output, "model.safetensors")))
            throw new IOException($"The folder '{output}' already holds a checkpoint; name another one, or add --overwrite.");
        StagedFiles.CheckFolderWritable(output);
        PretrainedFolder.CheckReadBack(output);
        CommonOptions.GpuDeviceId(options.Device); // refused before anything is read
        (SiglipVisionConfig Config, SiglipImageProcessorConfig Processor)? architecture = configPath is null ? null : ReadArchitecture(configPath);
        (ImageFolderDataset training, ImageFolderDataset? validation, _) = ImageInputs.OpenSplits(folder);
        if (validationFolder is not null)
        {
            validation = ImageInputs.OpenDataset(validationFolder, minimumClasses: 1);
            validation.RequireClassesOf(training);
        }

        if (validation is null && validationShare > 0)
            (training, validation) = training.Split(validationShare, options.Seed);

        TorchNative.Ensure();
        torch.manual_seed(options.Seed);
        (SiglipForImageClassification model, SiglipImageProcessorConfig processor) = architecture is { } scratch
            ? (new SiglipForImageClassification(scratch.Config, training.Labels), scratch.Processor)
            : FromCheckpoint(modelName!, training.Labels);
        using SiglipForImageClassification ownedModel = model;
        if (mimetic)
            model.InitializeMimetic();
        using var trainer = new SiglipTrainer(model, processor, options);
        Console.Error.WriteLine($"Training {model.parameters().Sum(parameter => parameter.numel()):N0} parameters on {training.Images.Count:N0} images of "
            + $"{training.Labels.Count} classes, {validation?.Images.Count ?? 0:N0} held out.");

        int finished = 0;
        SiglipEvaluation? evaluation = null;
        try
        {
            ProgressDisplay.Run("Training", progress =>
            {
                trainer.Train(training, validation, new Report(state =>
                {
                    progress.Report(new ProgressState(state.Step, state.Steps, Describe(state), state.EndOfEpoch));
                    if (!state.EndOfEpoch)
                        return;
                    evaluation = state.Validation;
                    model.SavePretrained(output, processor, storedDtype);
                    finished = state.Epoch;
                }), cancellationToken);
                return 0;
            });
        }
        catch (OperationCanceledException)
        {
            throw new VerbCanceledException(finished == 0
                ? "cancelled; nothing was written."
                : $"cancelled; {output} holds the model of epoch {finished} of {options.Epochs}.");
        }

        Console.WriteLine($"Trained {options.Epochs} epochs in {ProgressState.Text(Stopwatch.GetElapsedTime(start))}; the model is in {output}");
        if (evaluation is not null)
        {
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"Accuracy on {evaluation.Count:N0} held-out images: {evaluation.Accuracy:P1}"));
            for (int label = 0; label < evaluation.Labels.Count; label++)
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {evaluation.Labels[label],-20} {evaluation.AccuracyOf(label):P1}"));
        }

        return CommandLineRunner.Success;
    }

    /// <summary>Reads what <c>--config</c> names: a file, or a known checkpoint.</summary>
    internal static (SiglipVisionConfig Config, SiglipImageProcessorConfig Processor) ReadArchitecture(string name)
    {
        if (File.Exists(name))
        {
            SiglipVisionConfig config = SiglipVisionConfig.FromJson(File.ReadAllText(name), $"'{name}'");
            return (config, new SiglipImageProcessorConfig { Height = config.ImageSize, Width = config.ImageSize });
        }

        SiglipVariant variant = SiglipVariants.TryFind(name) ?? throw new FileNotFoundException(
            $"The configuration '{name}' does not exist; name a config.json, or a known checkpoint such as {string.Join(", ", SiglipVariants.Nearest(name))}.");
        return (variant.Config, variant.ProcessorConfig) is (SiglipVisionConfig fixedSize, SiglipImageProcessorConfig processor)
            ? (fixedSize, processor)
            : throw new InvalidDataException($"'{name}' has variable resolution (NaFlex), which is not trained here; name one with fixed resolution.");
    }

    private static (SiglipForImageClassification Model, SiglipImageProcessorConfig Processor) FromCheckpoint(string name, IReadOnlyList<string> labels)
    {
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(name);
        if (checkpoint.Config is Siglip2VisionConfig)
            throw new InvalidOperationException($"'{checkpoint.Source}' has variable resolution (NaFlex), which cannot be fine-tuned yet; train a classifier on its "
                + $"embeddings instead: {CommandText.Of("train", "FOLDER", "--model", name, "--output", "model.zip")}");
        bool sameLabels = checkpoint.Labels?.SequenceEqual(labels) ?? false;
        SiglipForImageClassification model = sameLabels ? checkpoint.LoadForImageClassification() : checkpoint.LoadForImageClassification(labels);
        return (model, model.ProcessorConfig!);
    }

    private static string Describe(SiglipTrainingProgress state) => string.Create(CultureInfo.InvariantCulture,
        $"epoch {state.Epoch}/{state.Epochs} loss {state.Loss:F3} lr {state.LearningRate:G3} {state.ImagesPerSecond:F0} images/s {ProgressState.Text(state.TimeLeft)} left")
        + (state.Validation is { } evaluation ? string.Create(CultureInfo.InvariantCulture, $" held-out accuracy {evaluation.Accuracy:P1} loss {evaluation.Loss:F3}") : "");

    private sealed class Report(Action<SiglipTrainingProgress> action) : IProgress<SiglipTrainingProgress>
    {
        void IProgress<SiglipTrainingProgress>.Report(SiglipTrainingProgress value) => action(value);
    }
}
