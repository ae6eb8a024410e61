using System.Diagnostics;
using System.IO.Compression;

namespace Siglip.Cli.Tests;

/// <summary>Each bad input gets one clear sentence and exit code 1, and leaves nothing half-written.</summary>
[TestClass]
public sealed class BadInputTests
{
    [TestMethod]
    public void Folders_that_are_no_training_set()
    {
        using var folder = new TestFolder();
        Directory.CreateDirectory(Path.Combine(folder.Path, "empty"));
        Directory.CreateDirectory(Path.Combine(folder.Path, "flat"));
        File.WriteAllText(Path.Combine(folder.Path, "flat", "1.jpg"), "");
        folder.WriteImages("one", labels: ["cat"]);
        string[] before = folder.Entries();

        foreach (string verb in (string[])["train", "finetune"])
        {
            string[] rest = verb == "train" ? ["--output", "model.zip"] : ["--output", "out", "--config", Path.Combine(TestFolder.VisionOnly, "config.json")];
            SiglipProcess.Run(folder.Path, [verb, "gone", .. rest]).Failed("The folder 'gone' does not exist");
            SiglipProcess.Run(folder.Path, [verb, "empty", .. rest]).Failed("The folder 'empty' is empty");
            SiglipProcess.Run(folder.Path, [verb, "flat", .. rest]).Failed("The folder 'flat' has no class folders");
            SiglipProcess.Run(folder.Path, [verb, "one", .. rest]).Failed("The folder 'one' has one class only, 'cat'");
        }

        CollectionAssert.AreEqual(before, folder.Entries());
    }

    [TestMethod]
    public void Files_that_are_no_images()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images");
        string bad = Path.Combine(images, "frog", "0.jpg");

        File.WriteAllText(bad, "I am a text.");
        Train().Failed("0.jpg");
        File.WriteAllBytes(bad, []);
        Train().Failed("0.jpg");
        byte[] jpeg = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "photo.jpg"));
        File.WriteAllBytes(bad, jpeg[..(jpeg.Length / 2)]);
        Train().Failed("0.jpg");
        File.WriteAllBytes(bad, jpeg);
        Train().Succeeded();
        File.Delete(Path.Combine(folder.Path, "model.zip"));

        CollectionAssert.AreEqual((string[])["images"], folder.Entries());

        SiglipResult Train() => SiglipProcess.Run(folder.Path, "train", images, "--output", "model.zip");
    }

    [TestMethod]
    public void Checkpoints_that_do_not_fit()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images");
        string checkpoint = folder.CopyCheckpoint("checkpoint");
        string config = Path.Combine(checkpoint, "config.json"), weights = Path.Combine(checkpoint, "model.safetensors");
        string goodConfig = File.ReadAllText(config);
        byte[] goodWeights = File.ReadAllBytes(weights);

        Train("gone").Failed("gone' does not exist");
        Train("google/siglip-base-patch16-224").Failed("'google/siglip-base-patch16-224@main' is not in the cache");

        File.Delete(config);
        Train("checkpoint").Failed("config.json' does not exist");
        File.WriteAllText(config, goodConfig.Replace("\"gelu_pytorch_tanh\"", "\"gelu_fast\"", StringComparison.Ordinal));
        Train("checkpoint").Failed("hidden_act is 'gelu_fast', expected one of gelu_pytorch_tanh, gelu,");
        File.WriteAllText(config, goodConfig.Replace("\"num_attention_heads\": 4", "\"num_attention_heads\": 5", StringComparison.Ordinal));
        Train("checkpoint").Failed("num_attention_heads is 5, which does not divide hidden_size 64");
        File.WriteAllText(config, goodConfig.Replace("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4", StringComparison.Ordinal));
        Train("checkpoint").Failed("encoder.layers.3.");
        File.WriteAllText(config, goodConfig.Replace("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2", StringComparison.Ordinal));
        Train("checkpoint").Failed("encoder.layers.2.");
        File.WriteAllText(config, goodConfig.Replace("\"image_size\": 32", "\"image_size\": 40", StringComparison.Ordinal));
        Train("checkpoint").Failed("position_embedding.weight' has shape [16, 64], expected [25, 64]");

        File.WriteAllText(config, goodConfig);
        File.WriteAllBytes(weights, goodWeights[..^100]);
        Train("checkpoint").Failed("cut off");
        CollectionAssert.AreEqual((string[])["checkpoint", "images"], folder.Entries());

        SiglipResult Train(string model) => SiglipProcess.Run(folder.Path, "train", images, "--output", "model.zip", "--model", model);
    }

    [TestMethod]
    public void Models_that_are_none()
    {
        using var folder = new TestFolder();
        string image = Directory.GetFiles(Path.Combine(TestFolder.NewSamples, "cat"))[0];

        SiglipProcess.Run(folder.Path, "predict", "gone.zip", image).Failed("The model 'gone.zip' does not exist; train one with: siglip train FOLDER --output gone.zip");
        File.WriteAllText(Path.Combine(folder.Path, "text.zip"), "no zip");
        const string Missing = "models/gone.Zip"; // has the form of an id of the hub
        foreach (string[] arguments in (string[][])[["predict", Missing, image], ["evaluate", Missing, folder.WriteImages("photos")], ["explain", image, "--model", Missing, "--output", "explained"]])
            SiglipProcess.Run(folder.Path, arguments).Failed($"The model '{Missing}' does not exist; train one with: ");
        SiglipProcess.Run(folder.Path, "predict", "text.zip", image).Failed("'text.zip' is no model that can be loaded");
        using (ZipArchive zip = ZipFile.Open(Path.Combine(folder.Path, "other.zip"), ZipArchiveMode.Create))
            zip.CreateEntry("readme.txt");
        SiglipProcess.Run(folder.Path, "predict", "other.zip", image).Failed("'other.zip' is no model that can be loaded");
    }

    [TestMethod]
    public void A_trained_model_that_is_damaged_says_what_is_wrong_with_it()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images");
        SiglipProcess.Run(folder.Path, "train", images, "--output", "model.zip").Succeeded();
        using (ZipArchive zip = ZipFile.Open(Path.Combine(folder.Path, "model.zip"), ZipArchiveMode.Update))
            zip.Entries.Single(entry => entry.Name == "Weights").Delete();

        SiglipProcess.Run(folder.Path, "predict", "model.zip", images).Failed("there is no entry 'Weights'");
    }

    [TestMethod]
    public void Outputs_that_cannot_be_written_are_found_before_the_work()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images");

        SiglipProcess.Run(folder.Path, "train", images, "--output", "no/such/folder/model.zip").Failed("cannot be written");
        SiglipProcess.Run(folder.Path, "train", images, "--output", "images").Failed("cannot be written");
        SiglipProcess.Run(folder.Path, "embed", images, "--output", "no/such/e.npy").Failed("cannot be written");
        SiglipProcess.Run(folder.Path, "embed", images, "--output", "e.txt").Failed("expected .npy, .parquet or .csv");
        SiglipProcess.Run(folder.Path, "embed", images, "--output", "e.npy", "--paths", "e.npy").Failed("the same file");
        SiglipProcess.Run(folder.Path, "finetune", images, "--config", Path.Combine(TestFolder.VisionOnly, "config.json"), "--output", Path.Combine(images, "frog", Path.GetFileName(Directory.GetFiles(Path.Combine(images, "frog"))[0])))
            .Failed("cannot be written");

        CollectionAssert.AreEqual((string[])["images"], folder.Entries());
    }

    [TestMethod]
    public void Wrong_usage_has_an_exit_code_of_its_own()
    {
        using var folder = new TestFolder();

        foreach (string[] arguments in (string[][])[["fly"], ["train"], ["train", "x", "--output", "m.zip", "--batch-size", "0"], ["train", "x", "--output", "m.zip", "--held-out", "2"],
            ["embed", "x", "--output", "e.npy", "--shard", "4/4"], ["embed", "x", "--output", "e.npy", "--output-kind", "all"], ["train", "", "--output", "m.zip"],
            ["finetune", "x", "--output", "o"], ["finetune", "x", "--output", "o", "--model", "nano", "--epochs", "0"], ["finetune", "x", "--output", "o", "--model", "nano", "--validation-share", "nan"]])
        {
            SiglipResult result = SiglipProcess.Run(folder.Path, arguments);
            Assert.AreEqual(2, result.ExitCode, string.Join(' ', arguments));
            Assert.Contains("--help", result.Errors);
        }

        Assert.Contains("train", SiglipProcess.Run(folder.Path, "--help").Succeeded().Output);
        SiglipResult nothing = SiglipProcess.Run(folder.Path);
        Assert.AreEqual(2, nothing.ExitCode);
        Assert.Contains("train", nothing.Output);
    }

    [TestMethod]
    [DataRow("embed x --output e.npy --batch-size x", "--batch-size is 'x', expected a whole number from 1 to 2147483647.")]
    [DataRow("embed x --output e.npy --batch-size 99999999999", "--batch-size is '99999999999', expected a whole number from 1 to 2147483647.")]
    [DataRow("embed x --output e.npy --max-num-patches 0", "--max-num-patches is '0', expected a whole number from 1 to 65536.")]
    [DataRow("embed x --output e.npy --max-num-patches x", "--max-num-patches is 'x', expected a whole number from 1 to 65536.")]
    [DataRow("embed x --output e.npy --image-size 99999", "--image-size is '99999', expected S or HEIGHTxWIDTH in pixels,")]
    [DataRow("embed x --output e.npy --image-size 16384", "at most 178956970 pixels")]
    [DataRow("embed x --output e.npy --precision float64", "--precision is 'float64', expected float32, bfloat16, float16 or int8")]
    [DataRow("embed x --output e.npy --output-kind all", "--output-kind is 'all', expected pooled, mean or patches.")]
    [DataRow("embed x --output e.npy --on-error stop", "--on-error is 'stop', expected fail or missing.")]
    [DataRow("embed x --output e.npy --shard 4/4", "--shard is '4/4', expected I/N")]
    [DataRow("train x --output m.zip --l2 x", "--l2 is 'x', expected a number of at least 0.")]
    [DataRow("train x --output m.zip --held-out 0,5", "--held-out is '0,5', expected a number above 0 and below 1.")]
    [DataRow("train x --output m.zip --seed 1.5", "--seed is '1.5', expected a whole number from")]
    [DataRow("finetune x --output o --model nano --epochs x", "--epochs is 'x', expected a whole number from 1")]
    [DataRow("finetune x --output o --model nano --learning-rate NaN", "--learning-rate is 'NaN', expected a number above 0.")]
    [DataRow("finetune x --output o --model nano --dtype e4", "--dtype is 'e4', expected float32, bfloat16 or float16")]
    [DataRow("finetune x --output o --model nano --config c", "name one of them, not both.")]
    [DataRow("forward --input a --output b --expected c --tolerance x", "--tolerance is 'x', expected a number of at least 0.")]
    [DataRow("info nano --variants", "MODEL and --variants are given; name one of them, not both.")]
    [DataRow("export-onnx nano --output m.onnx --precision bfloat16", "--precision is 'bfloat16', expected float32 or int8.")]
    [DataRow("fly away", "There is no verb 'fly'; the verbs are train, evaluate, predict,")]
    public void A_wrong_value_is_one_line_that_names_the_option_the_value_and_what_is_expected(string arguments, string sentence)
    {
        using var folder = new TestFolder();

        SiglipResult result = SiglipProcess.Run(folder.Path, arguments.Split(' '));

        Assert.AreEqual(2, result.ExitCode, result.Errors);
        string[] lines = result.Errors.TrimEnd().Split('\n');
        Assert.HasCount(2, lines, result.Errors);
        Assert.StartsWith("siglip: ", lines[0]);
        Assert.Contains(sentence, lines[0]);
        Assert.Contains("--help", lines[1]);
    }

    [TestMethod]
    public void Devices_that_do_not_exist()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images");
        string[][] commands = [["train", images, "--output", "model.zip"], ["embed", images, "--output", "e.npy"], ["predict", "nano", images], ["finetune", images, "--model", "nano", "--output", "out"]];

        foreach (string[] command in commands)
            SiglipProcess.Run(folder.Path, [.. command, "--device", "banana"]).Failed("cuda");

        CollectionAssert.AreEqual((string[])["images"], folder.Entries());
    }

    [TestMethod]
    public void Ctrl_C_during_embedding_leaves_no_file_however_often_it_is_pressed()
    {
        if (OperatingSystem.IsWindows())
            Assert.Inconclusive("Windows has no signal to send to another process.");

        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 1);
        string list = Path.Combine(folder.Path, "list.txt");
        File.WriteAllLines(list, Enumerable.Repeat(images, 1_000_000));
        using SiglipProcess process = SiglipProcess.Start(folder.Path, "embed", "@list.txt", "--output", "e.npy", "--model", "nano");
        process.WaitForFile(folder.Path, ".e.npy.*.tmp");

        process.Interrupt();
        process.Interrupt();
        SiglipResult result = process.Wait();

        Assert.AreEqual(130, result.ExitCode);
        Assert.Contains("siglip: cancelled", result.Errors);
        CollectionAssert.AreEqual((string[])["images", "list.txt"], folder.Entries());
    }

    [TestMethod]
    public void Ctrl_C_ends_with_a_sentence_and_leaves_nothing_half_written()
    {
        if (OperatingSystem.IsWindows())
            Assert.Inconclusive("Windows has no signal to send to another process.");

        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 20, ["cat", "frog", "ship"]);
        // A model of a size that takes hours.
        File.WriteAllText(Path.Combine(folder.Path, "config.json"),
            """{ "hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 12, "num_attention_heads": 3, "image_size": 128, "patch_size": 8 }""");
        using SiglipProcess process = SiglipProcess.Start(folder.Path, "finetune", images, "--config", "config.json", "--output", "out", "--epochs", "1000", "--batch-size", "4");
        process.WaitForErrors("Training ");

        long start = Stopwatch.GetTimestamp();
        process.Interrupt();
        SiglipResult result = process.Wait();

        Assert.AreEqual(130, result.ExitCode);
        Assert.Contains("siglip: cancelled after step ", result.Errors);
        Assert.DoesNotContain("   at ", result.Errors);
        Assert.IsLessThan(60, Stopwatch.GetElapsedTime(start).TotalSeconds);
        if (folder.Entries().Contains("out"))
            Assert.IsFalse(folder.Entries("out").Any(name => name.EndsWith(".tmp", StringComparison.Ordinal)));
    }
}
