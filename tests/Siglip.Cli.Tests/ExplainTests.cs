using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Siglip.Cli.Tests;

/// <summary>What the pictures show is tested with Siglip.Core; here they are those of the library.</summary>
[TestClass]
public sealed class ExplainTests
{
    private static string Photo { get; } = Path.Combine(AppContext.BaseDirectory, "photo.jpg");

    private static string Cat => Directory.GetFiles(Path.Combine(TestFolder.NewSamples, "cat")).Order(StringComparer.Ordinal).First();

    [TestMethod]
    public void An_image_becomes_pictures_and_a_page()
    {
        using var folder = new TestFolder();
        SiglipResult result = SiglipProcess.Run(folder.Path, "explain", Cat, "--output", "out/new").Succeeded();

        Assert.MatchesRegex(@"^.*\.png: \w+ \([\d.]+ ?%\)\n15 pictures are in out/new; the page with all of them is out/new.report\.html\n$", result.Output.ReplaceLineEndings("\n"));
        string[] entries = folder.Entries("out/new");
        Assert.HasCount(16, entries);
        Assert.Contains("relevance.png", entries);
        Assert.Contains("report.html", entries);
    }

    [TestMethod]
    public void Numbers_are_written_as_JSON_and_options_decide_what_is_shown()
    {
        using var folder = new TestFolder();
        JsonNode json = JsonNode.Parse(SiglipProcess.Run(
            folder.Path, "explain", Photo, "--output", "out", "--patch", "3,5", "--label", "ship", "--image-size", "40x64", "--interpolate-pos-encoding", "--json").Succeeded().Output)!;
        JsonNode predicted = JsonNode.Parse(SiglipProcess.Run(
            folder.Path, "predict", "nano", Photo, "--image-size", "40x64", "--interpolate-pos-encoding", "--json").Succeeded().Output)![0]!;

        Assert.AreEqual("[10,16]", json["patchGrid"]!.ToJsonString());
        Assert.AreEqual("[3,5]", json["patch"]!.ToJsonString());
        Assert.AreEqual((string)predicted["label"]!, (string)json["label"]!);
        foreach ((string label, JsonNode? probability) in predicted["probabilities"]!.AsObject())
            Assert.AreEqual((float)probability!, (float)json["probabilities"]![label]!, 1e-4);
        Assert.AreEqual("ship", (string)json["relevance"]!["label"]!);
        foreach (JsonArray map in (JsonArray[])[json["relevance"]!["values"]!.AsArray(), json["rollout"]!.AsArray(), json["patchRollout"]!.AsArray(), json["probeAttention"]!.AsArray()])
            Assert.AreEqual((10, 16), (map.Count, map[0]!.AsArray().Count));
        Assert.AreEqual(1, (float)json["patchSimilarity"]![3]![5]!, 1e-5);
        Assert.AreEqual((6, 4), (json["attentionDistance"]!.AsArray().Count, json["attentionDistance"]![0]!.AsArray().Count));
        foreach (JsonNode? file in json["files"]!.AsArray())
            Assert.IsTrue(File.Exists(Path.Combine(folder.Path, (string)file!)));
    }

    [TestMethod]
    [DataRow("pooled")]
    [DataRow("mean")]
    [DataRow("patches")]
    public void A_model_written_by_train_is_explained_with_its_labels(string kind)
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 6);
        SiglipProcess.Run(folder.Path, "train", images, "--output", "model.zip", "--output-kind", kind).Succeeded();
        string image = Directory.GetFiles(Path.Combine(images, "ship"))[0];
        JsonNode json = JsonNode.Parse(SiglipProcess.Run(folder.Path, "explain", image, "--model", "model.zip", "--output", "out", "--json").Succeeded().Output)!;
        JsonNode predicted = JsonNode.Parse(SiglipProcess.Run(folder.Path, "predict", "model.zip", image, "--json").Succeeded().Output)![0]!;

        Assert.AreEqual((string)predicted["label"]!, (string)json["label"]!);
        foreach ((string label, JsonNode? probability) in predicted["probabilities"]!.AsObject())
            Assert.AreEqual((float)probability!, (float)json["probabilities"]![label]!, 1e-4);
        Assert.IsGreaterThan(0, json["relevance"]!["values"]!.AsArray().Sum(row => row!.AsArray().Sum(value => (float)value!)));
    }

    [TestMethod]
    public void A_model_with_variable_resolution_is_explained()
    {
        using var folder = new TestFolder();
        JsonNode json = JsonNode.Parse(SiglipProcess.Run(
            folder.Path, "explain", TestFolder.WideImage, "--model", TestFolder.NaFlex, "--max-num-patches", "20", "--output", "out", "--json").Succeeded().Output)!;

        Assert.AreEqual("[1,20]", json["patchGrid"]!.ToJsonString());
        Assert.IsNull(json["label"]);
        Assert.IsNull(json["relevance"]);
    }

    [TestMethod]
    public void A_folder_becomes_a_map()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", labels: ["frog", "ship", "truck"]);
        File.WriteAllText(Path.Combine(images, "ship", "bad.png"), "no image");
        SiglipResult result = SiglipProcess.Run(folder.Path, "explain", images, "--output", "out", "--json");

        Assert.AreEqual(3, result.ExitCode, result.Errors);
        Assert.Contains("bad.png", result.Errors);
        CollectionAssert.AreEqual((string[])["embedding-map.png", "report.html"], folder.Entries("out"));
        JsonNode json = JsonNode.Parse(result.Output)!;
        Assert.HasCount(12, json["images"]!.AsArray());
        Assert.AreEqual("frog", (string)json["images"]![0]!["label"]!);
        Assert.IsTrue((float)json["explainedVariance"]! is > 0.2f and <= 1);
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux | OperatingSystems.OSX)] // a pipe with a name, and a signal
    public void Ctrl_C_ends_it_before_anything_is_written()
    {
        using var folder = new TestFolder();
        string pipe = Path.Combine(folder.Path, "image.png");
        Process.Start("mkfifo", [pipe]).WaitForExit();
        using SiglipProcess process = SiglipProcess.Start(folder.Path, "explain", pipe, "--output", "out", "--verbose");
        using (var image = new FileStream(pipe, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite))
        {
            process.WaitForErrors("model nano, built in");
            Thread.Sleep(1000); // it waits for the image
            process.Interrupt();
            Thread.Sleep(500);
            image.Write(File.ReadAllBytes(Cat));
            image.Flush();
            Thread.Sleep(500); // what nobody has read goes with the last one who has it open
        }

        SiglipResult result = process.Wait();

        Assert.AreEqual((130, ""), (result.ExitCode, result.Output), result.Errors);
        Assert.EndsWith("\nsiglip: cancelled; nothing was written.\n", result.Errors);
        CollectionAssert.AreEqual((string[])["image.png"], folder.Entries());
    }

    [TestMethod]
    public void Weights_on_the_disk_are_for_this_user_only()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Inconclusive("Windows has no file modes.");
            return;
        }

        using FileStream file = SavedModelClassifier.CreatePrivateFile();

        Assert.AreEqual(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file.SafeFileHandle));
    }

    [TestMethod]
    public void What_cannot_be_explained_is_one_sentence_and_nothing_is_written()
    {
        using var folder = new TestFolder();
        Failed("There is no label 'dragon'; the labels are airplane,", Cat, "--label", "dragon");
        Failed("'models' has no classifier; leave the option out", Cat, "--model", folder.CopyCheckpoint("models") is var _ ? "models" : "", "--label", "cat");
        Failed("The patch 8,0 (row, column) does not exist; rows are 0 to 7, columns 0 to 7.", Cat, "--patch", "8,0");
        Failed("--patch is for one image", TestFolder.NewSamples, "--patch", "1,1");
        Failed("The image '", Path.Combine(folder.Path, "missing.png"));
        Failed("Int8", Cat, "--precision", "int8");
        CollectionAssert.AreEqual((string[])["models"], folder.Entries());

        SiglipResult wrong = SiglipProcess.Run(folder.Path, "explain", Cat, "--output", "out", "--patch", "3");
        Assert.AreEqual(2, wrong.ExitCode);
        Assert.Contains("--patch is '3', expected row,column, two whole numbers from 0, such as 3,5.", wrong.Errors);

        void Failed(string sentence, string image, params string[] arguments) =>
            SiglipProcess.Run(folder.Path, ["explain", image, "--output", "out", .. arguments]).Failed(sentence);
    }
}
