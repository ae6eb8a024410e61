using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Siglip.Core;

namespace Siglip.Cli.Tests;

/// <summary><c>siglip finetune</c>: stopped in all ways and resumed, what it writes, and what it refuses.</summary>
[TestClass]
public sealed class FinetuneTests
{
    private const string Tiny =
        """{ "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8, "attention_dropout": 0.1 }""";

    // 30 epochs of 5 steps, in which everything random takes part.
    private static readonly string[] Training = ["finetune", "images", "--config", "config.json", "--output", "out", "--epochs", "30", "--batch-size", "4", "--mixup", "0.2",
        "--colour-operations", "1", "--patch-dropout", "0.25", "--ema-decay", "0.9", "--state-interval", "3", "--metrics-interval", "2"];

    // Trained without a stop, and the time that the steps took.
    private static readonly Lazy<(string Hash, string[] Steps, TimeSpan Time)> Whole = new(() =>
    {
        using TestFolder folder = NewFolder();
        using SiglipProcess process = SiglipProcess.Start(folder.Path, Training);
        process.WaitForErrors("Training ");
        long start = Stopwatch.GetTimestamp();
        process.Wait().Succeeded();
        return (Hash(folder), Steps(folder), Stopwatch.GetElapsedTime(start));
    });

    [TestMethod]
    public void Killed_at_any_moment_and_resumed_it_ends_with_the_same_weights()
    {
        using TestFolder folder = NewFolder();
        int seed = Environment.TickCount;
        var random = new Random(seed);
        TimeSpan longest = TimeSpan.FromMilliseconds(Math.Min(300, Whole.Value.Time.TotalMilliseconds / 5));
        for (int kill = 0; kill < 3; kill++)
        {
            using SiglipProcess process = SiglipProcess.Start(folder.Path, [.. Training, "--resume"]);
            process.WaitForErrors(kill == 0 ? "Training " : " loss "); // from the second one on after an epoch at least
            Thread.Sleep(random.NextDouble() * longest);
            process.Kill();
        }

        SiglipResult result = SiglipProcess.Run(folder.Path, [.. Training, "--resume"]).Succeeded();

        Assert.MatchesRegex("siglip: going on after step [1-9]", result.Errors, $"seed {seed}");
        Assert.AreEqual(Whole.Value.Hash, Hash(folder), $"seed {seed}");
        CollectionAssert.AreEqual(Whole.Value.Steps, Steps(folder), $"seed {seed}");
        CollectionAssert.AreEqual(
            (string[])["config.json", "confusion.csv", "curves.png", "metrics.csv", "metrics.jsonl", "model.safetensors", "preprocessor_config.json"], folder.Entries("out"), $"seed {seed}");
        Assert.Contains("There is nothing to resume: the training in 'out' is finished.", SiglipProcess.Run(folder.Path, [.. Training, "--resume"]).Succeeded().Output);
        Assert.AreEqual(Whole.Value.Hash, Hash(folder));
    }

    [TestMethod]
    [DataRow("INT")]
    [DataRow("TERM")]
    public void Stopped_by_a_signal_it_says_how_to_go_on_and_ends_with_the_same_weights(string signal)
    {
        if (OperatingSystem.IsWindows())
            Assert.Inconclusive("Windows has no signal to send to another process.");
        using TestFolder folder = NewFolder();
        using SiglipProcess process = SiglipProcess.Start(folder.Path, [.. Training, "--overwrite"]);
        process.WaitForErrors(" epoch 3/");

        process.Signal(signal);
        SiglipResult result = process.Wait();

        Assert.AreEqual(130, result.ExitCode);
        string last = result.Errors.TrimEnd().Split('\n')[^1];
        Assert.MatchesRegex(@"^siglip: cancelled after step [1-9]\d*; go on with: siglip finetune .+ --resume$", last);
        SiglipProcess.Run(folder.Path, Training).Failed("The folder 'out' holds a training that is not finished; add --resume to go on with it, or --overwrite to start anew.");
        string[] goOn = last.Split("go on with: siglip ")[1].Split(' ');
        CollectionAssert.AreEqual((string[])[.. Training, "--resume"], goOn);
        SiglipProcess.Run(folder.Path, goOn).Succeeded();
        Assert.AreEqual(Whole.Value.Hash, Hash(folder));
        CollectionAssert.AreEqual(Whole.Value.Steps, Steps(folder));
    }

    [TestMethod]
    public void What_decides_about_the_weights_must_not_change_when_it_is_resumed()
    {
        using TestFolder folder = NewFolder();
        using (SiglipProcess process = SiglipProcess.Start(folder.Path, Training))
        {
            process.WaitForErrors(" epoch 1/");
            process.Kill();
        }

        SiglipProcess.Run(folder.Path, [.. Training, "--resume", "--learning-rate", "0.5"]).FailedInTheMiddle("is of a training whose --learning-rate was 0.0003; now it is 0.5.");
        SiglipProcess.Run(folder.Path, [.. Training, "--resume", "--cutmix", "1"]).FailedInTheMiddle("whose --cutmix was 0; now it is 1. Resume it as it was started, or start anew with --overwrite.");
        File.WriteAllText(Path.Combine(folder.Path, "config.json"), Tiny.Replace("\"hidden_size\": 16", "\"hidden_size\": 32", StringComparison.Ordinal));
        SiglipProcess.Run(folder.Path, [.. Training, "--resume"]).FailedInTheMiddle("whose hidden_size was 16; now it is 32.");
        SiglipProcess.Run(folder.Path, "finetune", "images", "--config", "config.json", "--output", "out", "--epochs", "1", "--overwrite").Succeeded();
    }

    [TestMethod]
    public void On_a_full_disk_the_last_state_survives()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("There is no limit of file sizes to set.");
        using TestFolder folder = NewFolder();
        using SiglipProcess process = SiglipProcess.StartWithoutFileSizeSignal(folder.Path, Training);
        process.WaitForErrors(" epoch 3/");

        process.FillDisk(10_000);

        process.Wait().FailedInTheMiddle("' cannot be written: "); // the next state, or the model if the last state was just written
        Assert.IsFalse(folder.Entries("out").Any(name => name.EndsWith(".tmp", StringComparison.Ordinal)));
        SiglipResult result = SiglipProcess.Run(folder.Path, [.. Training, "--resume"]).Succeeded();
        Assert.MatchesRegex("going on after step [1-9]", result.Errors);
        Assert.AreEqual(Whole.Value.Hash, Hash(folder));
    }

    [TestMethod]
    public void A_training_that_diverges_is_one_sentence_and_keeps_the_model_that_was_there()
    {
        using TestFolder folder = NewFolder();
        string[] training = ["finetune", "images", "--config", "config.json", "--output", "out", "--epochs", "3", "--batch-size", "4"];
        SiglipProcess.Run(folder.Path, training).Succeeded();
        string before = Hash(folder);

        SiglipProcess.Run(folder.Path, [.. training, "--overwrite", "--learning-rate", "1e30"])
            .FailedInTheMiddle("the training diverged. Try a lower learning rate than 1E+30, a longer warm-up or a lower --max-gradient-norm than 1;");

        Assert.AreEqual(before, Hash(folder));
    }

    [TestMethod]
    public void A_bad_image_ends_the_training_or_is_listed_at_its_end()
    {
        using TestFolder folder = NewFolder();
        string image = Directory.GetFiles(Path.Combine(folder.Path, "images", "ship")).Order(StringComparer.Ordinal).ElementAt(5);
        File.WriteAllBytes(image, File.ReadAllBytes(image)[..500]);
        string[] training = ["finetune", "images", "--config", "config.json", "--output", "out", "--epochs", "1", "--batch-size", "4"];
        string name = Path.Combine("images", "ship", Path.GetFileName(image));

        SiglipProcess.Run(folder.Path, training).FailedInTheMiddle($"'{name}'");
        SiglipResult result = SiglipProcess.Run(folder.Path, [.. training, "--overwrite", "--skip-bad-images"]);

        Assert.AreEqual(3, result.ExitCode, result.Errors);
        Assert.Contains("siglip: 1 of 20 images could not be read.\n", result.Errors);
        Assert.MatchesRegex(@"\nsiglip: 20 images, 1 failed, [\d.]+ images/s; the model is in out\.\n$", result.Errors);
        Assert.Contains($"siglip: '{name}'", result.Errors);
    }

    [TestMethod]
    public void Cifar_10s_files_are_trained_on_without_the_test_batch_which_evaluate_measures()
    {
        using TestFolder folder = NewFolder();
        WriteCifar10(folder);

        SiglipResult result = SiglipProcess.Run(folder.Path, "finetune", "cifar", "--config", "config.json", "--output", "out", "--epochs", "1", "--validation-share", "0.2").Succeeded();
        Assert.Contains("on 40 images of 10 classes, 10 held out.", result.Errors);
        JsonNode evaluated = JsonNode.Parse(SiglipProcess.Run(folder.Path, "evaluate", "out", "cifar", "--json").Succeeded().Output)!;
        Assert.AreEqual(7, (int)evaluated["images"]!);

        result = SiglipProcess.Run(folder.Path, "finetune", "cifar", "--config", "config.json", "--output", "other", "--epochs", "1", "--validation", "cifar").Succeeded();
        Assert.Contains("siglip: measuring with the 7 images of CIFAR-10's test batch", result.Errors);
        Assert.Contains("on 50 images of 10 classes, 7 held out.", result.Errors);
        SiglipProcess.Run(folder.Path, "finetune", "cifar", "--config", "config.json", "--output", "third", "--validation", "images").Failed("The classes of 'cifar' are airplane, ");

        string batch = Path.Combine(folder.Path, "cifar", "data_batch_3.bin");
        byte[] records = File.ReadAllBytes(batch);
        records[3073 * 4] = 77;
        File.WriteAllBytes(batch, records);
        SiglipProcess.Run(folder.Path, "finetune", "cifar", "--config", "config.json", "--output", "third").Failed("Image 4 of 'cifar/data_batch_3.bin' has the class 77, expected 0 to 9");
    }

    [TestMethod]
    [DataRow("--trained-layers 0")]
    [DataRow("--trained-layers 1 --layer-decay 0.5")]
    [DataRow("--lora 2 --lora-targets attention --precision bf16")]
    [DataRow("--image-size 64 --early-stopping 1")]
    public void Parts_and_additions_are_trained_and_saved_as_a_plain_checkpoint(string options)
    {
        using TestFolder folder = NewFolder();

        SiglipProcess.Run(folder.Path, ["finetune", "images", "--model", "nano", "--output", "out", "--epochs", "2", "--batch-size", "8", .. options.Split(' ')]).Succeeded();

        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(Path.Combine(folder.Path, "out"));
        CollectionAssert.AreEqual((string[])["frog", "ship"], checkpoint.Labels!.ToArray());
        checkpoint.LoadForImageClassification().Dispose(); // refuses tensors that are missing, or of another shape
        Assert.AreEqual(options.StartsWith("--image-size", StringComparison.Ordinal) ? 64 : 32, ((SiglipVisionConfig)checkpoint.Config).ImageSize);
    }

    [TestMethod]
    public void Stopped_early_it_says_how_many_epochs_it_trained()
    {
        using TestFolder folder = NewFolder();

        SiglipResult result = SiglipProcess.Run(folder.Path, "finetune", "images", "--config", "config.json", "--output", "out", "--epochs", "9", "--early-stopping", "1",
            "--learning-rate", "1e-30").Succeeded(); // with which the loss stays as it is

        Assert.StartsWith("Trained 2 epochs in ", result.Output);
    }

    [TestMethod]
    public void A_class_of_one_image_needs_more_or_no_held_out_part()
    {
        using var folder = new TestFolder();
        folder.WriteImages("images", perClass: 1);

        SiglipProcess.Run(folder.Path, "finetune", "images", "--model", "nano", "--output", "out").Failed("The class 'frog' has one image only, at least two are needed");
    }

    [TestMethod]
    public void The_files_say_how_the_training_went()
    {
        using TestFolder folder = NewFolder();
        SiglipResult result = SiglipProcess.Run(folder.Path, "finetune", "images", "--config", "config.json", "--output", "out", "--epochs", "3", "--batch-size", "4",
            "--metrics-interval", "2", "--initialization", "mimetic", "--validation-share", "0.2").Succeeded();

        string[] csv = File.ReadAllLines(Path.Combine(folder.Path, "out", "metrics.csv"));
        Assert.AreEqual("epoch,step,loss,accuracy,learning_rate,images_per_second,seconds,validation_loss,validation_accuracy", csv[0]);
        CollectionAssert.AreEqual((string[])["1,2", "1,4", "2,6", "2,8", "3,10", "3,12"], csv[1..].Select(line => string.Join(',', line.Split(',')[..2])).ToArray()); // 4 steps an epoch
        JsonNode[] lines = [.. File.ReadLines(Path.Combine(folder.Path, "out", "metrics.jsonl")).Select(line => JsonNode.Parse(line)!)];
        foreach ((string line, JsonNode json) in csv[1..].Zip(lines))
        {
            double[] values = [.. line.Split(',').Select(text => text.Length == 0 ? double.NaN : double.Parse(text, CultureInfo.InvariantCulture))];
            double[] same = [.. json.AsObject().Select(pair => pair.Value is null ? double.NaN : (double)pair.Value)];
            CollectionAssert.AreEqual(csv[0].Split(','), json.AsObject().Select(pair => pair.Key).ToArray());
            for (int i = 0; i < values.Length; i++)
                Assert.IsTrue(values[i].Equals(same[i]) || Math.Abs(values[i] - same[i]) < 0.1, $"{csv[0].Split(',')[i]}: {line}");
            Assert.AreEqual((int)values[1] % 4 == 0, values[^1] is >= 0 and <= 1, "validation at the end of an epoch");
            Assert.IsTrue(values[3] is >= 0 and <= 1, line);
        }

        byte[] png = File.ReadAllBytes(Path.Combine(folder.Path, "out", "curves.png"));
        Assert.AreEqual((1000, 900), Size(png));
        string[] confusion = File.ReadAllLines(Path.Combine(folder.Path, "out", "confusion.csv"));
        Assert.AreEqual("actual,frog,ship,accuracy", confusion[0]);
        Assert.AreEqual(4, confusion[1..].Sum(line => line.Split(',')[1..3].Sum(int.Parse)));
        Assert.Contains("actual \\ predicted  frog  ship  accuracy", result.Output);
        double accuracy = confusion[1..].Select((line, i) => int.Parse(line.Split(',')[i + 1], CultureInfo.InvariantCulture)).Sum() / 4.0;
        Assert.AreEqual(accuracy, (double)lines[^1]["validation_accuracy"]!, 1e-9);
    }

    [TestMethod]
    [DataRow("--no-augment --mixup 0.2", "--no-augment and --mixup are given; leave one of them out.")]
    [DataRow("--config c", "--config and --model are given; name one of them, not both.")]
    [DataRow("--lora-alpha 8", "--lora-alpha is given without --lora; add --lora with the rank, or leave it out.")]
    [DataRow("--lora 8 --lora-targets q_proj,x", "--lora-targets is 'q_proj,x', expected one or several of q_proj, k_proj, v_proj, out_proj, attention, mlp, all, with commas between them.")]
    [DataRow("--precision float16", "--precision is 'float16', expected float32 or bfloat16.")]
    [DataRow("--ema-decay 1", "--ema-decay is '1', expected a number of at least 0 and below 1.")]
    [DataRow("--initialization mimetic", "--initialization is for --config; the weights of a checkpoint are its own: leave it out.")]
    [DataRow("--resume --overwrite", "--resume and --overwrite are given; name one of them, not both.")]
    public void Options_that_do_not_fit_together_are_one_line(string options, string sentence)
    {
        ParseResult parsed = FinetuneVerb.Create().Parse(["x", "--output", "o", "--model", "nano", .. options.Split(' ')]);

        Assert.HasCount(1, parsed.Errors);
        Assert.AreEqual(sentence, parsed.Errors[0].Message);
    }

    [TestMethod]
    [DataRow("--min-learning-rate 1", "--min-learning-rate is 1, expected a number from 0 to --learning-rate.")]
    [DataRow("--warm-up-epochs 1 --warm-up-steps 3", "--warm-up-epochs is 1, expected null, because --warm-up-steps is set; set one of the two.")]
    [DataRow("--min-crop-area 0.5 --max-crop-area 0.4", "--min-crop-area is 0.5, expected a number above 0, at most --max-crop-area.")]
    public void Values_that_do_not_fit_together_are_one_line(string options, string sentence)
    {
        var command = new Command("finetune");
        var arguments = new TrainingArguments();
        GroupedHelp.Add(command, arguments.Groups);
        ParseResult parsed = command.Parse(options.Split(' '));

        Assert.IsEmpty(parsed.Errors);
        Assert.AreEqual(sentence, arguments.FaultOf(arguments.Read(parsed.CommandResult)));
    }

    [TestMethod]
    public void Wrong_usage_that_shows_only_when_all_options_are_known_has_its_exit_code()
    {
        using var folder = new TestFolder();

        SiglipResult result = SiglipProcess.Run(folder.Path, "finetune", "x", "--output", "o", "--model", "nano", "--min-learning-rate", "1");

        Assert.AreEqual(2, result.ExitCode, result.Errors);
        Assert.AreEqual("siglip: --min-learning-rate is 1, expected a number from 0 to --learning-rate.\nRun 'siglip finetune --help' for what is expected.\n", result.Errors);
    }

    [TestMethod]
    public void Every_option_reaches_the_training()
    {
        var command = new Command("finetune");
        var arguments = new TrainingArguments();
        GroupedHelp.Add(command, arguments.Groups);
        ParseResult defaults = command.Parse([]), all = command.Parse(("--epochs 3 --batch-size 5 --gradient-accumulation 2 --early-stopping 4 --precision bf16 --device cuda:1 --seed -7 "
            + "--optimizer sgd --learning-rate 0.1 --min-learning-rate 0.01 --warm-up-share 0.2 --warm-up-epochs 1.5 --weight-decay 0.3 --decay-all-parameters --beta1 0.8 --beta2 0.99 "
            + "--epsilon 1e-6 --momentum 0.9 --max-gradient-norm Infinity --ema-decay 0.99 --label-smoothing 0.1 --classifier-input mean --trained-layers 2 --layer-decay 0.75 --lora 4 "
            + "--lora-alpha 8 --lora-dropout 0.1 --lora-targets q_proj,mlp --flip-probability 0.1 --max-shift 0 --random-resized-crop --min-crop-area 0.3 --max-crop-area 0.9 "
            + "--colour-operations 2 --colour-magnitude 5 --mixup 0.2 --cutmix 1 --mix-probability 0.5 --patch-dropout 0.5 --patch-dropout-epochs 2").Split(' '));

        Assert.AreEqual(new SiglipTrainingOptions { Augmentation = arguments.Read(defaults.CommandResult).Augmentation }, arguments.Read(defaults.CommandResult));
        Assert.AreEqual(new SiglipAugmentationOptions(), arguments.Read(defaults.CommandResult).Augmentation);
        Assert.IsEmpty(all.Errors);
        Assert.AreEqual(new SiglipTrainingOptions
        {
            Epochs = 3,
            BatchSize = 5,
            GradientAccumulation = 2,
            EarlyStoppingPatience = 4,
            Precision = SiglipPrecision.BFloat16,
            Device = "cuda:1",
            Seed = -7,
            Optimizer = SiglipOptimizer.Sgd,
            LearningRate = 0.1,
            MinLearningRate = 0.01,
            WarmUpShare = 0.2,
            WarmUpEpochs = 1.5,
            WeightDecay = 0.3,
            DecayAllParameters = true,
            Beta1 = 0.8,
            Beta2 = 0.99,
            Epsilon = 1e-6,
            Momentum = 0.9,
            MaxGradientNorm = double.PositiveInfinity,
            EmaDecay = 0.99,
            LabelSmoothing = 0.1,
            ClassifierInput = SiglipClassifierInput.Mean,
            TrainedLayers = 2,
            LayerLearningRateDecay = 0.75,
            Lora = new SiglipLoraOptions { Rank = 4, Alpha = 8, Dropout = 0.1, Targets = SiglipLoraTargets.Query | SiglipLoraTargets.Mlp },
            Augmentation = new SiglipAugmentationOptions
            {
                FlipProbability = 0.1,
                MaxShift = 0,
                RandomResizedCrop = true,
                MinCropArea = 0.3,
                MaxCropArea = 0.9,
                ColourOperations = 2,
                ColourMagnitude = 5,
                MixupAlpha = 0.2,
                CutMixAlpha = 1,
                MixProbability = 0.5,
            },
            PatchDropout = 0.5,
            PatchDropoutEpochs = 2,
        }, arguments.Read(all.CommandResult));
        Assert.AreEqual(SiglipAugmentationOptions.None, arguments.Read(command.Parse(["--no-augment"]).CommandResult).Augmentation);
    }

    [TestMethod]
    public void Early_stopping_needs_images_to_measure_with()
    {
        using TestFolder folder = NewFolder();

        SiglipProcess.Run(folder.Path, "finetune", "images", "--config", "config.json", "--output", "out", "--early-stopping", "2", "--validation-share", "0")
            .Failed("--early-stopping needs images to measure with; name some by --validation, or a --validation-share above 0.");
    }

    [TestMethod]
    public void The_help_has_every_option_under_a_heading()
    {
        using var folder = new TestFolder();

        string help = SiglipProcess.Run(folder.Path, "finetune", "--help").Succeeded().Output;

        foreach (string heading in (string[])["Where it starts", "Images", "Output", "How long, and where", "Optimizer and loss", "What is trained", "How training images are changed"])
            Assert.Contains($"\n\n {heading}:\n  --", help);
        Assert.Contains("  --learning-rate <X> ", help);
    }

    private static TestFolder NewFolder()
    {
        var folder = new TestFolder();
        folder.WriteImages("images", perClass: 10);
        File.WriteAllText(Path.Combine(folder.Path, "config.json"), Tiny);
        return folder;
    }

    private static string Hash(TestFolder folder) => Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(Path.Combine(folder.Path, "out", "model.safetensors"))));

    // What of the metrics does not depend on the time.
    private static string[] Steps(TestFolder folder) =>
    [
        .. File.ReadLines(Path.Combine(folder.Path, "out", "metrics.csv")).Select(line => line.Split(','))
            .Select(cells => string.Join(',', [.. cells[..5], .. cells[7..]])),
    ];

    private static (int Width, int Height) Size(byte[] png) =>
        (System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(16)), System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(20)));

    // Ten images in each training batch, seven in the test batch.
    private static void WriteCifar10(TestFolder folder)
    {
        string cifar = Directory.CreateDirectory(Path.Combine(folder.Path, "cifar")).FullName;
        File.WriteAllText(Path.Combine(cifar, "batches.meta.txt"), "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
        var random = new Random(1);
        foreach (string name in (string[])["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"])
        {
            byte[] records = new byte[3073 * (name == "test_batch" ? 7 : 10)];
            random.NextBytes(records);
            for (int i = 0; i < records.Length / 3073; i++)
                records[i * 3073] = (byte)(i % 10);
            File.WriteAllBytes(Path.Combine(cifar, $"{name}.bin"), records);
        }
    }
}
