using System.CommandLine;
using System.CommandLine.Parsing;
using System.Diagnostics;
using System.Globalization;
using Siglip.Core;
using TorchSharp;

namespace Siglip.Cli;

/// <summary><c>siglip finetune</c>: trains a classifier with its vision transformer.</summary>
internal sealed class FinetuneVerb
{
    private const string StateFile = "training-state.safetensors", ModelFile = "model.safetensors", ConfusionFile = "confusion.csv";
    private static readonly string[] OutputFiles = ["config.json", "preprocessor_config.json", ModelFile, ConfusionFile, .. TrainingLog.Files];
    private const int MostClassesOfTable = 20;

    private readonly Argument<string> _folder = new("FOLDER")
    {
        Description = "The training images, in one folder per class; or a folder that is divided into train and val, with those in them; or CIFAR-10's cifar-10-batches-bin.",
    };

    private readonly Option<string?> _config = new("--config")
    {
        HelpName = "FILE",
        Description = "A config.json, or the name of a known checkpoint of the Hugging Face hub (siglip info --variants lists them), of which the architecture is taken: "
            + "a model with random weights is trained from scratch.",
    };

    private readonly Option<string?> _model = new("--model")
    {
        HelpName = "MODEL",
        Description = "A checkpoint's folder, the id of a model of the Hugging Face hub, or nano: its vision transformer is trained further, with a new classifier unless it has one for the same classes.",
    };

    private readonly Option<string?> _revision = CommonOptions.Revision();

    private readonly Option<string?> _initialization = new Option<string?>("--initialization")
    {
        Description = "With --config, the first weights: transformers (the default), or mimetic, which learns more from few images.",
    }.OneOf("transformers", "mimetic");

    private readonly Option<int?> _imageSize = new Option<int?>("--image-size")
    {
        HelpName = "N",
        Description = "Train on images of this many pixels a side instead of the model's; the position embeddings of a checkpoint are interpolated, once.",
    }.Within(1, SiglipImageProcessorConfig.MaxSide);

    private readonly Option<string?> _validation = new("--validation")
    {
        HelpName = "FOLDER",
        Description = "Images to measure with, in folders of the same classes, or cifar-10-batches-bin, of which it is the test batch; by default those of FOLDER/val.",
    };

    private readonly Option<double> _validationShare = new Option<double>("--validation-share")
    {
        HelpName = "X",
        Description = "Without --validation and FOLDER/val: share of each class held out to measure with, or of CIFAR-10 the last images; 0 for none.",
        DefaultValueFactory = _ => 0.1,
    }.Accept(value => value is >= 0 and < 1, "a number of at least 0 and below 1");

    private readonly Option<bool> _skipBadImages = new("--skip-bad-images") { Description = "Leave out images that cannot be read, and list them at the end, instead of stopping." };

    private readonly Option<string> _output = new("--output")
    {
        HelpName = "FOLDER",
        Description = "The folder that gets config.json, preprocessor_config.json, model.safetensors, metrics.csv, metrics.jsonl, curves.png and confusion.csv.",
        Required = true,
    };

    private readonly Option<bool> _overwrite = new("--overwrite") { Description = "Replace what an earlier training left in the output folder." };
    private readonly Option<bool> _resume = new("--resume") { Description = "Go on with a training that was stopped, with the same options." };

    private readonly Option<int> _stateInterval = new Option<int>("--state-interval")
    {
        HelpName = "N",
        Description = "Steps between two writes of the state that --resume goes on from; 0 for the end of each epoch. It is also written on Ctrl+C.",
        DefaultValueFactory = _ => 0,
    }.Within(0);

    private readonly Option<int> _metricsInterval = new Option<int>("--metrics-interval")
    {
        HelpName = "N",
        Description = "Steps between two rows of the metrics; the end of an epoch has one in any case.",
        DefaultValueFactory = _ => 10,
    }.Within(1);

    private readonly Option<string> _dtype = new Option<string>("--dtype") { Description = "How the weights are stored.", DefaultValueFactory = _ => "float32" }.Precision(int8: false);
    private readonly TrainingArguments _training = new();

    private FinetuneVerb()
    {
    }

    public static Command Create()
    {
        var verb = new FinetuneVerb();
        var command = new Command("finetune", "Train a vision transformer and its classifier on folders of images.") { verb._folder };
        GroupedHelp.Add(command,
        [
            new("Where it starts", [verb._model, verb._revision, verb._config, verb._initialization, verb._imageSize]),
            new("Images", [verb._validation, verb._validationShare, verb._skipBadImages]),
            new("Output", [verb._output, verb._overwrite, verb._resume, verb._stateInterval, verb._metricsInterval, verb._dtype]),
            .. verb._training.Groups,
        ],
            "# a checkpoint trained further on folders of images, one per class", "siglip finetune photos --model models/siglip-base-patch16-224 --output tuned",
            "# the classifier and small additions to the weights only", "siglip finetune photos --model models/siglip-base-patch16-224 --output tuned --lora 8 --learning-rate 0.001",
            "# a known architecture from scratch; the same line goes on after an interruption",
            "siglip finetune photos --config google/siglip2-base-patch32-256 --output model --epochs 100 --resume");
        command.Validators.Add(verb.Validate);
        command.SetAction((parsed, cancellationToken) => Task.FromResult(verb.Run(parsed, cancellationToken)));
        return command;
    }

    private void Validate(CommandResult result)
    {
        bool fromConfig = result.GetValue(_config) is not null;
        if (fromConfig == result.GetValue(_model) is not null)
            result.AddError(fromConfig ? "--config and --model are given; name one of them, not both." : "One of --config and --model is needed: where the training starts.");
        if (result.GetValue(_initialization) is not null && !fromConfig)
            result.AddError("--initialization is for --config; the weights of a checkpoint are its own: leave it out.");
        if (result.GetValue(_revision) is not null && fromConfig)
            result.AddError("--revision is for --model; leave it out.");
        if (result.GetValue(_resume) && result.GetValue(_overwrite))
            result.AddError("--resume and --overwrite are given; name one of them, not both.");
        _training.Validate(result);
    }

    private int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        string folder = parsed.GetRequiredValue(_folder), output = parsed.GetRequiredValue(_output), statePath = Path.Combine(output, StateFile);
        bool resume = parsed.GetValue(_resume) && File.Exists(statePath);
        SiglipTrainingOptions options = _training.Read(parsed.CommandResult) with
        {
            SkipBadImages = parsed.GetValue(_skipBadImages),
            StatePath = statePath,
            StateInterval = parsed.GetValue(_stateInterval),
            Resume = resume,
        };
        if (_training.FaultOf(options) is { } fault)
            return CommandLineRunner.ReportWrongUsage("finetune ", [fault]);
        if (IsFinished(parsed, output, statePath))
            return CommandLineRunner.Success;
        StagedFiles.CheckFolderWritable(output);
        PretrainedFolder.CheckReadBack(output);
        CommonOptions.GpuDeviceId(options.Device); // refused before anything is read
        (SiglipVisionConfig Config, SiglipImageProcessorConfig Processor)? architecture = parsed.GetValue(_config) is { } config ? ReadArchitecture(config, parsed.GetValue(_imageSize)) : null;
        (ILabeledImages training, ILabeledImages? validation) = ImageInputs.OpenTraining(
            folder, parsed.GetValue(_validation), parsed.GetValue(_validationShare), options.Seed);
        if (options.EarlyStoppingPatience is not null && validation is null)
            throw new ArgumentException("--early-stopping needs images to measure with; name some by --validation, or a --validation-share above 0.");

        TorchNative.Ensure();
        torch.manual_seed(options.Seed);
        (SiglipForImageClassification model, SiglipImageProcessorConfig processor) = architecture is { } scratch
            ? (new SiglipForImageClassification(scratch.Config, training.Labels), scratch.Processor)
            : FromCheckpoint(NamedModel.Fetch(parsed.GetValue(_model)!, parsed.GetValue(_revision), cancellationToken), training.Labels, parsed.GetValue(_imageSize));
        using SiglipForImageClassification ownedModel = model;
        if (parsed.GetValue(_initialization) == "mimetic")
            model.InitializeMimetic();
        Directory.CreateDirectory(output);
        foreach (string file in OutputFiles)
            StagedFiles.DeleteLeftovers(Path.Combine(output, file)); // of a process that was killed while it wrote
        TrainingLog log = resume ? Resume(output, statePath) : TrainingLog.Start(output);
        if (CommandLineRunner.Verbosity != Verbosity.Quiet)
            Console.Error.WriteLine($"Training a model of {model.parameters().Sum(parameter => parameter.numel()):N0} parameters on {training.Count:N0} images of "
                + $"{training.Labels.Count} classes, {validation?.Count ?? 0:N0} held out.");
        RunDetails.OfComputation(options.Device, options.Precision, options.BatchSize);

        torch.ScalarType dtype = CommonOptions.PrecisionOf(parsed.GetRequiredValue(_dtype))!.Value.ToDtype();
        void Save() => model.SavePretrained(output, processor, dtype);
        SiglipTrainer? trainer = null;
        FinetuneProgress? progress = null;
        SiglipEvaluation? evaluation;
        try
        {
            trainer = new SiglipTrainer(model, processor, options);
            ProgressDisplay.Run("Training", display =>
            {
                progress = new FinetuneProgress(display, log, parsed.GetValue(_metricsInterval), options.StateInterval, Save);
                trainer.Train(training, validation, progress, cancellationToken);
                return 0;
            });
            evaluation = validation is null ? null : progress!.Evaluation ?? trainer.Evaluate(validation, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            log.Save();
            throw new VerbCanceledException($"cancelled after step {TrainingState.PositionIn(statePath).Step}; go on with: {ResumeCommand(parsed)}");
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException)
        {
            log.Save(); // with the steps that led here
            string kept = progress is { SavedEpoch: > 0 } saved ? $" '{output}' holds the model of epoch {saved.SavedEpoch}." : "";
            throw new InvalidOperationException(_training.InOptionNames(e.Message.Split(" (Parameter '")[0]) + kept, e);
        }
        finally
        {
            trainer?.Dispose();
        }

        Save();
        log.Save();
        log.SaveCurves();
        string confusionPath = Path.Combine(output, ConfusionFile);
        WriteConfusion(evaluation, confusionPath);
        int epochs = TrainingState.PositionIn(statePath).Epoch - 1; // fewer than were asked for if it stopped early
        File.Delete(statePath); // the last: until here --resume goes on

        if (CommandLineRunner.Verbosity != Verbosity.Quiet)
            Console.WriteLine($"Trained {epochs} epochs in {ProgressState.Text(Stopwatch.GetElapsedTime(start))}; the model is in {output}");
        if (evaluation is not null)
            Print(evaluation, confusionPath);
        int images = training.Count + (validation?.Count ?? 0), exitCode = CommandLineRunner.ReportFailed(trainer.SkippedImages, images);
        CommandLineRunner.Summarize(images, trainer.SkippedImages.Count, progress!.ImagesPerSecond, $"the model is in {output}");
        return exitCode;
    }

    // Whether --resume has nothing to do; refuses to touch what neither it nor --overwrite is for.
    private bool IsFinished(ParseResult parsed, string output, string statePath)
    {
        bool hasState = File.Exists(statePath), hasModel = File.Exists(Path.Combine(output, ModelFile));
        if (parsed.GetValue(_resume))
        {
            if (!hasState && hasModel)
                Console.WriteLine($"There is nothing to resume: the training in '{output}' is finished. To train anew, name another folder, or add --overwrite in place of --resume.");
            else if (!hasState)
                CommandLineRunner.Note($"there is no training in '{output}' to resume yet; it starts at the first step.");
            return !hasState && hasModel;
        }

        if (parsed.GetValue(_overwrite))
            return false;
        if (hasState)
            throw new IOException($"The folder '{output}' holds a training that is not finished; add --resume to go on with it, or --overwrite to start anew.");
        if (hasModel)
            throw new IOException($"The folder '{output}' already holds a checkpoint; name another one, or add --overwrite.");
        return false;
    }

    private static TrainingLog Resume(string output, string statePath)
    {
        (int step, int epoch) = TrainingState.PositionIn(statePath);
        CommandLineRunner.Note($"going on after step {step}, in epoch {epoch}.");
        return TrainingLog.Resume(output, step);
    }

    private string ResumeCommand(ParseResult parsed) => CommandText.Of(
        [.. parsed.Tokens.Select(token => token.Value).Where(text => text != _overwrite.Name && text != _resume.Name), _resume.Name]);

    private static void WriteConfusion(SiglipEvaluation? evaluation, string path)
    {
        if (evaluation is null)
        {
            File.Delete(path); // of an earlier training
            return;
        }

        using var staged = new StagedFiles();
        staged.AddText(path, ConfusionMatrix.ToCsv(evaluation));
        staged.Commit();
    }

    private static void Print(SiglipEvaluation evaluation, string confusionPath)
    {
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"Accuracy on {evaluation.Count:N0} held-out images: {evaluation.Accuracy:P1}"));
        Console.WriteLine();
        if (evaluation.Labels.Count <= MostClassesOfTable)
        {
            ConfusionMatrix.WriteTable(evaluation);
            return;
        }

        const int Shown = 10;
        Console.WriteLine($"The {Shown} classes that were recognized least; all of them, and what they were taken for, are in {confusionPath}");
        ConfusionMatrix.WriteWorst(evaluation, Shown);
    }

    /// <summary>Reads what <c>--config</c> names: a file, or a known checkpoint.</summary>
    /// <param name="name">The file, or the checkpoint's id.</param>
    /// <param name="imageSize">In pixels; null for what the configuration says.</param>
    internal static (SiglipVisionConfig Config, SiglipImageProcessorConfig Processor) ReadArchitecture(string name, int? imageSize = null)
    {
        SiglipVisionConfig config;
        SiglipImageProcessorConfig processor;
        if (File.Exists(name))
        {
            config = SiglipVisionConfig.FromJson(File.ReadAllText(name), $"'{name}'");
            processor = new SiglipImageProcessorConfig();
        }
        else
        {
            SiglipVariant variant = SiglipVariants.TryFind(name) ?? throw new FileNotFoundException(
                $"The configuration '{name}' does not exist; name a config.json, or a known checkpoint such as {string.Join(", ", SiglipVariants.Nearest(name))}.");
            (config, processor) = (variant.Config, variant.ProcessorConfig) is (SiglipVisionConfig fixedSize, SiglipImageProcessorConfig itsProcessor)
                ? (fixedSize, itsProcessor)
                : throw new InvalidDataException($"'{name}' has variable resolution (NaFlex), which is not trained here; name one with fixed resolution.");
        }

        int side = imageSize ?? config.ImageSize;
        return (config with { ImageSize = side }, processor with { Height = side, Width = side });
    }

    private static (SiglipForImageClassification Model, SiglipImageProcessorConfig Processor) FromCheckpoint(string name, IReadOnlyList<string> labels, int? imageSize)
    {
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(name);
        RunDetails.Of(checkpoint);
        if (checkpoint.Config is Siglip2VisionConfig)
            throw new InvalidOperationException($"'{checkpoint.Source}' has variable resolution (NaFlex), which cannot be fine-tuned yet; train a classifier on its "
                + $"embeddings instead: {CommandText.Of("train", "FOLDER", "--model", name, "--output", "model.zip")}");
        bool sameLabels = checkpoint.Labels?.SequenceEqual(labels) ?? false;
        SiglipForImageClassification model = (sameLabels, imageSize) switch
        {
            (true, null) => checkpoint.LoadForImageClassification(),
            (true, { } side) => checkpoint.LoadForImageClassification(side),
            (false, null) => checkpoint.LoadForImageClassification(labels),
            (false, { } side) => checkpoint.LoadForImageClassification(labels, side),
        };
        return (model, model.ProcessorConfig!);
    }
}
